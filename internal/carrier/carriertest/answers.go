package carriertest

import (
	"errors"
	"reflect"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// testAnswer sends a message and checks its answer.
func testAnswer(f *fixture, m *form) {
	f.connect()
	items, err := f.send(f.Context(), m, m.request(answer, 0))
	f.wantAnswer(m, items, err)
	f.wantStarted(1)
}

// wantAnswer checks the answer to a message that tells the method to answer.
func (f *fixture) wantAnswer(m *form, items []string, err error) {
	f.Helper()
	switch {
	case m.isCast():
		f.wantItems(items, err)
	case m.name == clientStream:
		f.wantItems(items, err, "1")
	case m.name == bothStream:
		f.wantItems(items, err, answer)
	default:
		f.wantItems(items, err, "done")
	}
}

// testWhatArrives checks that the server sees the message that was sent.
func testWhatArrives(f *fixture, m *form) { f.compareWhatArrives(m, 0) }

// testWhatArrivesLate does the same for a message that a server missed at first. Carriers may send
// such a message differently.
func testWhatArrivesLate(f *fixture, m *form) { f.compareWhatArrives(m, 2*time.Second) }

func (f *fixture) compareWhatArrives(m *form, missed time.Duration) {
	f.Helper()
	f.connect()
	r := m.request(answer, 0)
	r.ID, r.OrderKey, r.Missed, r.Context = "id 1", "a, b", missed, `{"user":"größe"}`
	r.Metadata = rpc.Metadata{"trace": {"1", "2"}, "raw-bin": {"\x00\xff"}, "oslorpc-id": {"of another message"}}
	items, err := f.send(f.Context(), m, r)
	f.wantAnswer(m, items, err)

	got := f.server.lastSeen()
	want := &rpc.Message{
		Target: rpc.Target{Exchange: exchange, Topic: topic, Namespace: r.Target.Namespace, Version: got.Target.Version},
		Method: r.Method, Delivery: m.delivery, Monitored: r.Silence > 0, ID: r.ID, OrderKey: r.OrderKey,
		Server: name, InstanceID: instance, Caller: "tester", Peer: got.Peer,
		Metadata: rpc.Metadata{"trace": {"1", "2"}, "raw-bin": {"\x00\xff"}}, Arguments: got.Arguments, Service: got.Service,
	}
	if !reflect.DeepEqual(got, want) {
		f.Errorf("the server saw %+v, want %+v", got, want)
	}
	f.wantContent(m, got)
	if got.Peer.Addr == "" {
		f.Error("the server does not know the address of the sender")
	}
	if missed := time.Duration(f.server.missed.Load()); missed != r.Missed {
		f.Errorf("the server missed a message %v ago, not %v", missed, r.Missed)
	}
	f.server.mu.Lock()
	defer f.server.mu.Unlock()
	if want := []any{map[string]any{"user": "größe"}}; !reflect.DeepEqual(f.server.dicts, want) {
		f.Errorf("the method saw the request context %v, want %v", f.server.dicts, want)
	}
}

// wantContent checks the content of a message as its server sees it.
func (f *fixture) wantContent(m *form, got *rpc.Message) {
	f.Helper()
	r := m.request(answer, 0)
	if !m.isTyped() {
		if got.Arguments != r.Kwargs || got.Service != "" || got.Target.Version != "1.0" {
			f.Errorf("the server saw %v", got)
		}
		return
	}
	if got.Service == "" || got.Target.Version != r.Target.Version {
		f.Errorf("the server saw version %s of service %q", got.Target.Version, got.Service)
	}
	arguments, ok := got.Arguments.(proto.Message)
	switch {
	case r.Typed.ClientStreams || r.Typed.ServerStreams:
		if got.Arguments != nil {
			f.Errorf("the server saw the arguments %v of a stream", got.Arguments)
		}
	case !ok || !proto.Equal(arguments, r.Typed.Message):
		f.Errorf("the server saw the arguments %v", got.Arguments)
	}
}

// testStaticAddress sends to a server by its name, since the server has no ID.
func testStaticAddress(f *fixture, m *form) {
	f.connect()
	r := m.request(answer, 0)
	r.InstanceID, r.Target.Server = "", name
	items, err := f.send(f.Context(), m, r)
	f.wantAnswer(m, items, err)

	r = m.request(answer, 0)
	r.InstanceID, r.Target.Server = "", "net2"
	_, err = f.send(f.Context(), m, r)
	f.want(err, rpc.Refused, true)
	f.wantStarted(1)
}

// testPeerIsTold checks what the sender learns about the process at the other end.
func testPeerIsTold(f *fixture, m *form) {
	f.connect()
	for _, what := range []string{answer, fail} {
		r := m.request(what, 0)
		r.Peer = &rpc.Peer{}
		_, _ = f.send(f.Context(), m, r)
		if r.Peer.Addr == "" {
			f.Errorf("%s: the sender does not know the address of the process", what)
		}
	}
}

// testMethodFails runs a method that returns an error.
func testMethodFails(f *fixture, m *form) {
	f.connect()
	_, err := f.send(f.Context(), m, m.request(fail, 0))
	f.want(err, rpc.Remote, false, errBroken.Error())
	remote, ok := errors.AsType[*rpc.RemoteError](err)
	if !ok || remote.Message != errBroken.Error() || remote.Type == "" {
		f.Errorf("got %+v", remote)
	}
	f.wantFrom(err)
}

// wantFrom checks that an error says which server it is from.
func (f *fixture) wantFrom(err error) {
	f.Helper()
	if e, ok := errors.AsType[*rpc.Error](err); !ok || e.Server != name || e.InstanceID != instance {
		f.Errorf("the error is from server %+v", e)
	}
}
