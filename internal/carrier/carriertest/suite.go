package carriertest

import (
	"testing"
	"testing/synctest"
)

// Test runs the suite. Each test has a harness of its own, which open makes, and faked time.
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

// suite are the tests that need no particular form of message.
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

// suiteOfForms are the tests that run for each form of message that suits them.
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

// hears suits forms whose sender hears what becomes of the method.
func hears(m *form) bool { return !m.isCast() }

// hearsItems suits forms whose methods can send a large result.
func hearsItems(m *form) bool { return !m.isCast() && !m.clientStreams() }
