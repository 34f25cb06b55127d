package cuts

import (
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// way is a way to cut a connection.
type way int

const (
	reset    way = iota // both ends get a reset, between two writes
	within              // both ends get a reset, after a part of a write was forwarded
	request             // the client's data is lost for a while, then both ends get a reset
	response            // the server's data is lost for a while, then both ends get a reset
	hangUp              // both ends see the end of the other's data
	ways
)

func (w way) String() string {
	return [...]string{"reset", "reset within a frame", "requests lost", "responses lost", "hung up"}[w]
}

// These are the ways in which a proxy cuts.
const (
	// minBytes and maxBytes are how much data passes in one direction before a connection is cut.
	minBytes, maxBytes = 64, 32 << 10
	// maxLoss is the maximum time for which the data of one direction is lost.
	maxLoss = 300 * time.Millisecond
)

// proxy is between a client and a server. It cuts connections at random unless it is gentle. It is
// safe for concurrent use.
type proxy struct {
	listener net.Listener
	running  sync.WaitGroup

	mu     sync.Mutex
	random *rand.Rand
	to     string
	gentle bool
	next   way // of the next connection; the ways take turns
	conns  map[net.Conn]bool
	cuts   [ways]int
}

func newProxy(t *testing.T, seed uint64) *proxy {
	t.Helper()
	var listening net.ListenConfig
	l, err := listening.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, random: rand.New(rand.NewPCG(seed, 0)), gentle: true, conns: map[net.Conn]bool{}}
	p.running.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.resetAll()
		p.running.Wait()
	})
	return p
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

// lead makes new connections go to an address.
func (p *proxy) lead(to string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.to = to
}

// setGentle stops or starts the cuts.
func (p *proxy) setGentle(gentle bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gentle = gentle
}

func (p *proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return // it is closed
		}
		p.running.Go(func() { p.pass(conn) })
	}
}

// line is a connection through the proxy, with its random plan.
type line struct {
	proxy          *proxy
	client, server net.Conn
	way            way
	back           bool // the direction whose bytes count
	after          int  // how many bytes
	part           float64
	loss           time.Duration
}

func (p *proxy) pass(client net.Conn) {
	p.mu.Lock()
	to := p.to
	l := &line{
		proxy: p, client: client, way: p.next, back: p.random.IntN(2) == 0,
		after: minBytes + p.random.IntN(maxBytes-minBytes), part: p.random.Float64(),
		loss: time.Duration(p.random.Int64N(int64(maxLoss))),
	}
	p.next = (p.next + 1) % ways
	p.mu.Unlock()
	switch l.way {
	case request:
		l.back = false
	case response:
		l.back = true
	default:
	}
	server, err := net.Dial("tcp", to)
	if err != nil {
		abort(client)
		return
	}
	l.server = server
	p.keep(client, server)
	var directions sync.WaitGroup
	directions.Go(func() { l.copy(server, client, false) })
	directions.Go(func() { l.copy(client, server, true) })
	directions.Wait()
	p.drop(client, server)
}

func (p *proxy) keep(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		p.conns[c] = true
	}
}

func (p *proxy) drop(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
		delete(p.conns, c)
	}
}

// copy forwards one direction, and cuts the connection once enough data has passed.
func (l *line) copy(to, from net.Conn, back bool) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 8<<10)
	for passed := 0; ; {
		n, err := from.Read(buffer)
		if n > 0 && back == l.back {
			if passed += n; passed >= l.after && l.proxy.cutsNow(l.way) {
				l.cut(to, from, buffer[:n])
				return
			}
		}
		if _, failed := to.Write(buffer[:n]); err != nil || failed != nil {
			return
		}
	}
}

// cutsNow counts a cut, unless the proxy is gentle.
func (p *proxy) cutsNow(w way) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gentle {
		return false
	}
	p.cuts[w]++
	return true
}

// cut cuts the connection after b arrived in the direction that counts.
func (l *line) cut(to, from net.Conn, b []byte) {
	switch l.way {
	case within:
		_, _ = to.Write(b[:int(l.part*float64(len(b)))])
	case request, response: // the counted direction is lost, and the other one continues
		_ = from.SetReadDeadline(time.Now().Add(l.loss))
		_, _ = io.Copy(io.Discard, from)
	case hangUp:
		return
	default:
	}
	abort(l.client)
	abort(l.server)
}

// abort closes a connection with a reset.
func abort(conn net.Conn) {
	if tcp, is := conn.(*net.TCPConn); is {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

func (p *proxy) resetAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		abort(c)
	}
}
