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

// behavior is what a bad peer does. Without any, it speaks HTTP/2 and never answers.
type behavior struct {
	// raw is all it does with a connection, which is closed after it; nil for HTTP/2.
	raw func(net.Conn)
	// settings begin its HTTP/2.
	settings []http2.Setting
	// greeted follows them.
	greeted func(*conn)
	// begun is called when an RPC begins, asked when its request has come as a whole.
	begun, asked func(*conn, *stream)
	// stingy ones give no room for more data, deaf ones answer no ping, rude ones acknowledge no
	// settings.
	stingy, deaf, rude bool
}

// badPeer serves one kind, and remembers what it got.
type badPeer struct {
	kind     *kind
	listener net.Listener
	stopped  chan struct{}
	serving  sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
	whole map[string]int // messages that it got as a whole, by id; typed calls, which have none, are ""
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

// received notes a message.
func (p *badPeer) received(s *stream) {
	if strings.HasPrefix(s.path, "/grpc.health") {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.whole[messageID(s)]++
}

// times returns how often each message came.
func (p *badPeer) times() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.whole)
}

// messageID returns the id in a request of the contract; all of them have it in the same field.
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

// answer is what a server of oslorpc would answer with a result.
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
