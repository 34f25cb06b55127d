package carriertest

import (
	"testing"
	"testing/synctest"
)

// Test runs the suite. Each test has faked time and its own harness, which open makes.
func Test(t *testing.T, open func(t *testing.T) Harness) {
	for _, test := range suite {
		run(t, open, test.name, test.run)
	}
	for _, test := range suiteOfForms {
		for i := range forms {
			m := &forms[i]
			if test.suits == nil || test.suits(m) {
				run(t, open, test.name+"/"+m.name, func(f *fixture) { test.run(f, m) })
			}
		}
	}
}

func run(t *testing.T, open func(*testing.T) Harness, name string, test func(*fixture)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) { test(newFixture(t, open)) })
	})
}

// suite lists the tests that do not run for each form of message.
var suite = []struct {
	name string
	run  func(*fixture)
}{
	{"Check", testCheck},
	{"HeartbeatsKeepACallAlive", testHeartbeats},
	{"Silence", testSilence},
	{"Ping", testPing},
	{"Info", testInfo},

	{"Health", testHealth},
	{"SilentProcess", testSilentProcess},
	{"BecameReady", testBecameReady},
	{"ConnectEnds", testConnectEnds},
	{"Capacity", testCapacity},
	{"WaitForAPlace", testWaitForAPlace},
	{"SharedLink", testSharedLink},
	{"LastPut", testLastPut},
	{"Renew", testRenew},

	{"BothSend", testBothSend},
	{"MetadataOfStreams", testMetadataOfStreams},
	{"OpeningAStreamOfItems", testOpeningItems},
	{"OpeningAStreamOfTheClient", testOpeningClientStream},
	{"UnsendableLaterMessage", testUnsendableLaterMessage},
	{"SendAfterTheEnd", testSendAfterTheEnd},
}

// suiteOfForms lists the tests that run for each suitable form of message.
var suiteOfForms = []struct {
	name  string
	suits func(*form) bool // nil for all forms
	run   func(*fixture, *form)
}{
	{"Answer", nil, testAnswer},
	{"WhatArrives", nil, testWhatArrives},
	{"WhatArrivesLate", nil, testWhatArrivesLate},
	{"StaticAddress", nil, testStaticAddress},
	{"PeerIsTold", nil, testPeerIsTold},
	{"MethodFails", hears, testMethodFails},

	{"NotConnected", nil, testNotConnected},
	{"Full", nil, testFull},
	{"Stopping", nil, testStopping},
	{"Misdirected", nil, testMisdirected},
	{"Denied", nil, testDenied},
	{"NoSuchMethod", nil, testNoSuchMethod},
	{"Unencodable", nil, testUnencodable},
	{"RequestTooLarge", nil, testRequestTooLarge},
	{"ResultTooLarge", hearsItems, testResultTooLarge},
	{"BrokenBeforeAcceptance", nil, testBrokenBeforeAcceptance},
	{"BrokenOnTheWay", nil, testBrokenOnTheWay},
	{"BrokenWhileItRuns", hears, testBrokenWhileItRuns},
	{"DeadlineBefore", nil, testDeadlineBefore},
	{"DeadlineInTheQueue", hears, testDeadlineInTheQueue},
	{"DeadlineWhileItRuns", hears, testDeadlineWhileItRuns},
	{"CanceledBefore", nil, testCanceledBefore},
	{"CanceledWhileItRuns", hears, testCanceledWhileItRuns},
	{"ClosedBefore", nil, testClosedBefore},
	{"ClosedWhileItRuns", hears, testClosedWhileItRuns},

	{"Outstanding", hears, testOutstanding},
	{"Items", (*form).hasItems, testItems},
	{"ErrorAfterItems", (*form).hasItems, testErrorAfterItems},
	{"CutAfterItems", (*form).hasItems, testCutAfterItems},
	{"ForcedStopAfterItems", (*form).hasItems, testForcedStopAfterItems},
	{"CloseEarly", (*form).hasItems, testCloseEarly},
	{"CloseWithACause", (*form).hasItems, testCloseWithACause},
	{"EndOfContext", (*form).hasItems, testEndOfContext},
	{"SlowConsumer", (*form).hasItems, testSlowConsumer},
}

// hears selects the forms whose sender learns the outcome of the method.
func hears(m *form) bool { return !m.isCast() }

// hearsItems selects the forms whose method can send a large result.
func hearsItems(m *form) bool { return !m.isCast() && !m.clientStreams() }
