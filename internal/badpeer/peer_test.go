package badpeer

import (
	"maps"
	"net"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	"google.golang.org/protobuf/proto"

	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
)

// behavior is what a bad peer does. The zero value speaks HTTP/2 and never answers.
type behavior struct {
	// raw handles a whole connection, which is closed afterwards. If it is nil, the peer speaks
	// HTTP/2.
	raw func(net.Conn)
	// settings are the peer's first HTTP/2 frame.
	settings []http2.Setting
	// greeted runs after the settings.
	greeted func(*conn)
	// begun runs when an RPC begins, and asked runs when its request has arrived completely.
	begun, asked func(*conn, *stream)
	// A stingy peer never enlarges the flow-control window. A deaf peer answers no pings. A rude
	// peer acknowledges no settings.
	stingy, deaf, rude bool
}

// badPeer serves one kind and records the messages that it receives.
type badPeer struct {
	kind     *kind
	listener net.Listener
	stopped  chan struct{}
	serving  sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
	whole map[string]int // how often each whole message arrived, by id; typed messages have the id ""
}

// start serves a kind until the test ends.
func (k *kind) start(t *testing.T) *badPeer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &badPeer{kind: k, listener: l, stopped: make(chan struct{}), conns: map[net.Conn]bool{}, whole: map[string]int{}}
	if k.absent {
		_ = l.Close()
		return p
	}
	p.serving.Go(p.accept)
	t.Cleanup(p.stop)
	return p
}

func (p *badPeer) addr() string { return p.listener.Addr().String() }

func (p *badPeer) accept() {
	for {
		raw, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.conns[raw] = true
		p.mu.Unlock()
		p.serving.Go(func() {
			p.serve(raw)
			_ = raw.Close()
			p.mu.Lock()
			delete(p.conns, raw)
			p.mu.Unlock()
		})
	}
}

func (p *badPeer) serve(raw net.Conn) {
	if raw := p.kind.wrap(raw); p.kind.behavior.raw != nil {
		p.kind.behavior.raw(raw)
	} else {
		newConn(raw, p).serve()
	}
}

func (p *badPeer) stop() {
	_ = p.listener.Close()
	p.mu.Lock()
	for c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.serving.Wait()
}

// received records a message.
func (p *badPeer) received(s *stream) {
	if strings.HasPrefix(s.path, "/grpc.health") {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.whole[messageID(s)]++
}

// times returns how often each message arrived.
func (p *badPeer) times() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.whole)
}

// messageID returns the ID in a request of the protocol. All requests have the ID in the same
// field.
func messageID(s *stream) string {
	if !strings.HasPrefix(s.path, "/oslorpc.v1.RPCService/") || len(s.body) < 5 {
		return ""
	}
	var m pb.CallRequest
	if proto.Unmarshal(s.body[5:], &m) != nil {
		return ""
	}
	return m.GetMessage().GetId()
}

// answer returns a correct answer with a result.
func answer(s *stream, result *pb.Payload) proto.Message {
	switch {
	case strings.HasSuffix(s.path, "/MonitoredCall"):
		return &pb.MonitoredCallResponse{Kind: &pb.MonitoredCallResponse_Response{Response: &pb.CallResponse{Result: result}}}
	case strings.HasSuffix(s.path, "/Multicall"):
		return &pb.MulticallResponse{Item: result}
	case strings.HasSuffix(s.path, "/Call"):
		return &pb.CallResponse{Result: result}
	default: // a cast, or a typed message
		return &pb.CastResponse{}
	}
}

func text(json string) *pb.Payload { return &pb.Payload{Encoding: &pb.Payload_Json{Json: json}} }

func done() *pb.Payload { return text(`"done"`) }
