package check

import (
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/lab/history"
	"github.com/oslorpc/oslorpc/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// at returns a time in the forged histories, in milliseconds after their beginning.
func at(ms int) time.Time { return time.Unix(1700000000, 0).Add(time.Duration(ms) * time.Millisecond) }

// good returns a history in which every promise is kept. It has two servers, of which the second is
// killed at 20 s, and a message of each form.
func good() *history.History {
	h := new(history.History)
	for _, name := range []string{"s1", "s2"} {
		h.Ups = append(h.Ups, &history.Up{Process: name, Topic: "lab", Server: name, Instance: "i-" + name, At: at(0)})
	}
	for _, form := range history.Forms {
		id := string(form) + "/c1/1"
		op := &history.Operation{ID: id, Form: form, Client: "c1", Topic: "lab", Begin: at(5000), End: at(5100), Deadline: at(60000), OK: true}
		h.Operations = append(h.Operations, op)
		run(h, id, "s1")
		switch {
		case form == history.Gather:
			run(h, id, "s2")
			op.Report = []history.Outcome{
				{Server: "s1", Instance: "i-s1", Verdict: history.Replied, By: "i-s1"}, {Server: "s2", Instance: "i-s2", Verdict: history.Replied, By: "i-s2"},
			}
		case form.All():
			run(h, id, "s2")
			op.Report = []history.Outcome{
				{Server: "s1", Instance: "i-s1", Verdict: history.Accepted}, {Server: "s2", Instance: "i-s2", Verdict: history.Accepted},
			}
		case form.Streams():
			op.Asked, op.Items, op.Instance = 3, 3, "i-s1"
			h.Streams = append(h.Streams, &history.Stream{ID: id, Instance: "i-s1", Asked: 3, Items: 3, Whole: true})
		case !form.Casts():
			op.Instance = "i-s1"
		}
	}
	h.Events = []*history.Event{
		{What: history.Killed, Process: "s2", At: at(30000)},
		{What: history.Ended, Process: "s2", At: at(30001)},
		{What: history.Stopped, Process: "s1", At: at(40000)},
		{What: history.Ended, Process: "s1", At: at(40001)},
		{What: history.Ended, Process: "c1", At: at(40001)},
	}
	h.Exits = []*history.Exit{{Process: "s1"}, {Process: "c1"}}
	return h
}

func run(h *history.History, id, server string) {
	h.Executions = append(h.Executions, &history.Execution{ID: id, Process: server, Server: server, Instance: "i-" + server, At: at(5050)})
}

// op returns the operation of a form.
func op(h *history.History, form history.Form) *history.Operation {
	for _, op := range h.Operations {
		if op.Form == form {
			return op
		}
	}
	return nil
}

// unrun removes the executions of a form.
func unrun(h *history.History, form history.Form) {
	id := op(h, form).ID
	var rest []*history.Execution
	for _, e := range h.Executions {
		if e.ID != id {
			rest = append(rest, e)
		}
	}
	h.Executions = rest
}

// fail makes an operation of a form end with a kind of error.
func fail(h *history.History, form history.Form, kind string, safe bool) *history.Operation {
	o := op(h, form)
	o.OK, o.Kind, o.Safe, o.Report = false, kind, safe, nil
	return o
}

// A history in which faults explain the failures has no violations.
func TestGoodHistories(t *testing.T) {
	for name, change := range map[string]func(h *history.History){
		"all is well":                 func(*history.History) {},
		"a call lost with its server": func(h *history.History) { fail(h, history.Call, "OutcomeUnknown", false).End = at(30010) },
		"a cast lost with its server": func(h *history.History) {
			unrun(h, history.Cast)
			o := op(h, history.Cast)
			o.Begin, o.End = at(29000), at(29001)
		},
		"a method that was told to fail": func(h *history.History) { fail(h, history.Call, "Remote", false).Fails = true },
		"a caller that gave up":          func(h *history.History) { fail(h, history.Call, "Canceled", false).Canceled = true },
		"a failure that the scenario excuses": func(h *history.History) {
			unrun(h, history.Call)
			fail(h, history.Call, "Refused", true)
			h.Excuses = []*history.Excuse{{From: at(0), Kinds: []string{"Refused"}}}
		},
		"a report without a server that was killed": func(h *history.History) {
			unrun(h, history.Fanout)
			o := op(h, history.Fanout)
			run(h, o.ID, "s1")
			o.Begin, o.End, o.Report = at(31000), at(31001), o.Report[:1]
		},
		"a report that may be incomplete and says so": func(h *history.History) {
			unrun(h, history.Fanout)
			o := op(h, history.Fanout)
			o.Report, o.Uncertain = nil, true
		},
		"a frozen server": func(h *history.History) {
			h.Events = append(h.Events, &history.Event{What: history.Frozen, Process: "s1", At: at(5000)}, &history.Event{What: history.Thawed, Process: "s1", At: at(9000)})
			fail(h, history.Call, "OutcomeUnknown", false)
		},
		"a message for a named server that is dead": func(h *history.History) {
			unrun(h, history.Call)
			o := fail(h, history.Call, "NoInstance", true)
			o.To, o.Begin, o.End, o.Deadline = "s2", at(33000), at(34000), at(34000)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := good()
			change(h)
			for _, v := range Check(h, Default) {
				t.Errorf("%s: %v: %s", v.Promise, v.IDs, v.Text)
			}
		})
	}
}

// Each broken promise is found, and no other violation.
func TestForgedHistories(t *testing.T) {
	for name, forged := range map[string]struct {
		promise string
		forge   func(h *history.History)
	}{
		"a call that ran twice":                   {AtMostOnce, func(h *history.History) { run(h, op(h, history.Call).ID, "s1") }},
		"a cast that ran at two servers":          {AtMostOnce, func(h *history.History) { run(h, op(h, history.Cast).ID, "s2") }},
		"a fanout that ran twice at one server":   {AtMostOnce, func(h *history.History) { run(h, op(h, history.Fanout).ID, "s2") }},
		"a gather that ran twice at one server":   {AtMostOnce, func(h *history.History) { run(h, op(h, history.Gather).ID, "s1") }},
		"a typed call that ran twice":             {AtMostOnce, func(h *history.History) { run(h, op(h, history.TypedCall).ID, "s2") }},
		"a call that is ok and did not run":       {ExactlyOnce, func(h *history.History) { unrun(h, history.Call) }},
		"an answer from another":                  {ExactlyOnce, func(h *history.History) { op(h, history.Call).Instance = "i-s2" }},
		"a failure that is ok":                    {ExactlyOnce, func(h *history.History) { op(h, history.Call).Fails = true }},
		"a remote error, and it did not run":      {ExactlyOnce, func(h *history.History) { unrun(h, history.Call); fail(h, history.Call, "Remote", false).Fails = true }},
		"safe to retry, and it ran":               {NeverRan, func(h *history.History) { fail(h, history.Call, "Canceled", true).Canceled = true }},
		"no instance, and it ran":                 {NeverRan, func(h *history.History) { fail(h, history.Cast, "NoInstance", false).Canceled = true }},
		"an accepted cast that did not run":       {CastRan, func(h *history.History) { unrun(h, history.Cast) }},
		"an accepted typed cast that did not run": {CastRan, func(h *history.History) { unrun(h, history.TypedCast) }},
		"a cast lost long before its server died": {CastRan, func(h *history.History) { unrun(h, history.Cast); op(h, history.Cast).To = "s2" }},
		"a cast lost when a server died that it was not for": {CastRan, func(h *history.History) {
			unrun(h, history.Cast)
			o := op(h, history.Cast)
			o.To, o.Begin, o.End = "s1", at(29000), at(29001)
		}},
		"accepted by a server that did not run it": {Report, func(h *history.History) { unrun(h, history.Fanout); run(h, op(h, history.Fanout).ID, "s1") }},
		"a reply of a server that did not run it":  {Report, func(h *history.History) { unrun(h, history.Gather); run(h, op(h, history.Gather).ID, "s1") }},
		"a reply of another server":                {Report, func(h *history.History) { op(h, history.Gather).Report[0].By = "i-s2" }},
		"skipped, and it ran": {Report, func(h *history.History) {
			op(h, history.Fanout).Report[0].Verdict = history.Skipped
			h.Excuses = []*history.Excuse{{From: at(0)}}
		}},
		"it ran at a server that is not named": {Report, func(h *history.History) {
			o := op(h, history.Fanout)
			o.Report, o.Uncertain = o.Report[:1], true
		}},
		"a healthy server is missing": {Report, func(h *history.History) {
			unrun(h, history.Fanout)
			o := op(h, history.Fanout)
			run(h, o.ID, "s1")
			o.Report = o.Report[:1]
		}},
		"an empty report beside healthy servers": {Report, func(h *history.History) { unrun(h, history.TypedFanout); op(h, history.TypedFanout).Report = nil }},
		"failed safely at a server that ran it": {NeverRan, func(h *history.History) {
			o := &op(h, history.Fanout).Report[0]
			o.Verdict, o.Kind, o.Safe = history.Failed, "Unreachable", true
			h.Excuses = []*history.Excuse{{From: at(0)}}
		}},
		"failed at a healthy server": {Availability, func(h *history.History) {
			o := &op(h, history.Fanout).Report[0]
			o.Verdict, o.Kind = history.Failed, "OutcomeUnknown"
		}},
		"an item is missing, and it is ok":        {Whole, func(h *history.History) { op(h, history.Multicall).Items = 2 }},
		"items out of order":                      {Whole, func(h *history.History) { op(h, history.TypedWatch).Gap = "item 2 came as number 1" }},
		"a stream cut short at the server":        {Whole, func(h *history.History) { h.Streams[0].Items = 2 }},
		"a stream that ended with an error there": {Whole, func(h *history.History) { h.Streams[0].Whole = false }},
		"a stream that is whole only at the server": {Whole, func(h *history.History) {
			fail(h, history.TypedImport, "Canceled", false).Canceled = true
			h.Streams[2].Items = 1
		}},
		"late":                    {Deadline, func(h *history.History) { op(h, history.Call).Deadline = at(3000) }},
		"hung":                    {Deadline, func(h *history.History) { o := fail(h, history.Call, "", false); o.Hung = true }},
		"no fault, and it failed": {Availability, func(h *history.History) { fail(h, history.Call, "OutcomeUnknown", false) }},
		"begun long after the kill, and it failed": {Availability, func(h *history.History) {
			o := fail(h, history.Call, "OutcomeUnknown", false)
			o.Begin, o.End, o.Deadline = at(35000), at(35001), at(45000)
		}},
		"sent to a server long after it was frozen": {Availability, func(h *history.History) {
			h.Events = append(h.Events, &history.Event{What: history.Frozen, Process: "s1", At: at(5000)}, &history.Event{What: history.Thawed, Process: "s1", At: at(25000)})
			o := fail(h, history.Call, "OutcomeUnknown", false)
			o.Begin, o.End = at(15000), at(25000)
		}},
		"by name, and the server is there": {Availability, func(h *history.History) {
			unrun(h, history.Call)
			fail(h, history.Call, "NoInstance", true).To = "s1"
		}},
		"a goroutine is left":            {Leaks, func(h *history.History) { h.Exits[0].Goroutines = 1 }},
		"a file is left open":            {Leaks, func(h *history.History) { h.Exits[1].Descriptors = []string{"7 pipe"} }},
		"a process crashed":              {Processes, func(h *history.History) { h.Events[3].Detail = "exit status 2" }},
		"a process wrote no exit record": {Processes, func(h *history.History) { h.Exits = h.Exits[:1] }},
		"a process could not close":      {Processes, func(h *history.History) { h.Exits[0].Error = "still busy" }},
		"what the scenario saw":          {"a goal", func(h *history.History) { h.Violations = []*history.Violation{{Promise: "a goal"}} }},
	} {
		t.Run(name, func(t *testing.T) {
			h := good()
			forged.forge(h)
			found := Check(h, Default)
			if len(found) == 0 {
				t.Fatal("no violation is found")
			}
			for _, v := range found {
				if v.Promise != forged.promise {
					t.Errorf("a violation of %q is found: %s; want only violations of %q", v.Promise, v.Text, forged.promise)
				}
			}
		})
	}
}
