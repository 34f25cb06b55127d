package interception

import (
	"net/netip"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/anycarrier"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Each interceptor sees each message once at each point with the same content. Nothing is lost on
// the way.
func TestEachMessageIsSeenOnce(t *testing.T) { anycarrier.Each(t, testEachMessageIsSeenOnce) }

func testEachMessageIsSeenOnce(t *testing.T) {
	t.Helper()
	f := newFleet(t, []string{"node1", "node2"})
	for _, r := range rows() {
		t.Run(r.name, func(t *testing.T) {
			f.journal.reset()
			o := r.send(t.Context(), f.client)
			if o.err != nil {
				t.Fatal(o.err)
			}
			for server, err := range o.servers {
				if err != nil {
					t.Errorf("%s: %v", server, err)
				}
			}
			copies := 1
			if r.toAll {
				copies = 2
			}
			f.journal.await(t, run, copies)
			f.checkCounts(t, copies)
			f.checkOrder(t, &r)
			for _, at := range []point{send, attempt, accept, run, method} {
				for _, e := range f.journal.take(at) {
					f.checkMessage(t, &r, &e)
				}
			}
			f.checkIDs(t, &r)
			f.checkCopies(t)
		})
	}
}

func (f *fleet) checkCounts(t *testing.T, copies int) {
	t.Helper()
	if n := len(f.journal.take(send)); n != 1 {
		t.Errorf("seen %d times at send", n)
	}
	for _, at := range []point{attempt, accept, run, method} {
		list := f.journal.take(at)
		if len(list) != copies {
			t.Errorf("seen %d times at %s, want %d", len(list), at, copies)
		}
		if copies == 2 && at != attempt && (list[0].process != "node1" || list[1].process != "node2") {
			t.Errorf("not both servers saw the message at %s", at)
		}
	}
}

// checkOrder fails unless the message passed the points in the right order and nesting.
func (f *fleet) checkOrder(t *testing.T, r *row) {
	t.Helper()
	sent := f.journal.await(t, send, 1)[0]
	for _, a := range f.journal.await(t, attempt, 1) {
		if a.began < sent.began || a.ended > sent.ended {
			t.Error("an attempt is not within send")
		}
	}
	for i, a := range f.journal.take(accept) {
		ran, m := f.journal.take(run)[i], f.journal.take(method)[i]
		if a.began < sent.began || ran.began < a.ended || m.began < ran.began || m.ended > ran.ended {
			t.Errorf("accept, run and the method did not happen in this order: %v %v %v", a, ran, m)
		}
		if ended := ran.ended < sent.ended; !r.accepted && !ended {
			t.Error("send ended before the method")
		}
	}
}

// checkMessage fails unless the description of a message is correct.
func (f *fleet) checkMessage(t *testing.T, r *row, e *event) {
	t.Helper()
	m := &e.message
	target := rpc.Target{Exchange: rpc.DefaultExchange, Topic: topic, Version: r.version}
	if r.service != "" {
		target.Namespace = "volumes"
	}
	if m.Target != target || m.Method != r.method || m.Service != r.service || m.Monitored != r.monitored || m.Caller != "tester" {
		t.Errorf("%s: got %+v", e.point, m)
	}
	want := r.sent
	if e.process != "client" {
		want = r.got
	}
	if m.Delivery != want {
		t.Errorf("%s: the delivery is %q, want %q", e.point, m.Delivery, want)
	}
	if got := m.Metadata.Get("SENT-BY"); got != "ann" || m.Metadata.Get("trace-bin") != "\x00\xff" {
		t.Errorf("%s: the metadata is %q", e.point, m.Metadata)
	}
	for name := range m.Metadata {
		if !slices.Contains([]string{"sent-by", "trace-bin", "offered-to"}, name) {
			t.Errorf("%s: the metadata has %q", e.point, name)
		}
	}
	checkArguments(t, r, e)
	f.checkEnds(t, e)
}

func checkArguments(t *testing.T, r *row, e *event) {
	t.Helper()
	arguments := e.message.Arguments
	_, isMessage := arguments.(proto.Message)
	switch {
	case r.service == "":
		if arguments != "{}" {
			t.Errorf("%s: the arguments are %v", e.point, arguments)
		}
	case r.sent == rpc.DeliveryStream, r.sent == rpc.DeliveryMulticall && e.process != "client":
		if arguments != nil {
			t.Errorf("%s: a stream has the arguments %v", e.point, arguments)
		}
	case !isMessage:
		t.Errorf("%s: the arguments are a %T", e.point, arguments)
	}
}

// checkEnds fails unless a message names both ends correctly.
func (f *fleet) checkEnds(t *testing.T, e *event) {
	t.Helper()
	m := &e.message
	switch e.point {
	case send:
		if m.Server+m.InstanceID+m.Addr != "" || m.Attempt != 0 {
			t.Errorf("send: got %+v", m)
		}
	case attempt:
		i, _ := f.servers[m.Server].Instance()
		if m.InstanceID != i.ID || m.Addr != i.Addr || m.Attempt != 1 || m.Metadata.Get("offered-to") != m.Server {
			t.Errorf("attempt: got %+v, want %+v", m, i)
		}
		if e.peer.Addr != i.Addr || provedBy(e.peer.TLS) != m.Server || e.peer.Identity.String() != "dns:"+m.Server {
			t.Errorf("attempt: the peer is %q at %s", provedBy(e.peer.TLS), e.peer.Addr)
		}
	default:
		i, _ := f.servers[e.process].Instance()
		if m.Server != e.process || m.InstanceID != i.ID || m.Addr != "" || m.Attempt != 0 || m.Metadata.Get("offered-to") != e.process {
			t.Errorf("%s: got %+v, want %+v", e.point, m, i)
		}
		if at, err := netip.ParseAddrPort(m.Peer.Addr); err != nil || !at.Addr().IsLoopback() {
			t.Errorf("%s: the address is %q", e.point, m.Peer.Addr)
		}
		if provedBy(m.Peer.TLS) != clientName || e.user != clientName {
			t.Errorf("%s: the sender is %q, and the context says %q", e.point, provedBy(m.Peer.TLS), e.user)
		}
		if id := m.Peer.Identity; id.Proof != rpc.ProofTLS || id.String() != "dns:"+clientName {
			t.Errorf("%s: the identity is %+v", e.point, id)
		}
	}
}

// checkIDs fails unless a message has the same ID everywhere.
func (f *fleet) checkIDs(t *testing.T, r *row) {
	t.Helper()
	id := f.journal.take(send)[0].message.ID
	if (id == "") != r.anonymous {
		t.Errorf("the id is %q", id)
	}
	for _, at := range []point{attempt, accept, run, method} {
		for _, e := range f.journal.take(at) {
			if e.message.ID != id {
				t.Errorf("%s: the id is %q, and at send it was %q", at, e.message.ID, id)
			}
		}
	}
}

// checkCopies fails unless a server sees the same peer at all points.
func (f *fleet) checkCopies(t *testing.T) {
	t.Helper()
	for i, e := range f.journal.take(accept) {
		for _, at := range []point{run, method} {
			if other := f.journal.take(at)[i]; other.message.Peer.Addr != e.message.Peer.Addr || other.process != e.process {
				t.Errorf("%s: the peer is %v, and at accept it was %v", at, other.message.Peer.Addr, e.message.Peer.Addr)
			}
		}
	}
}
