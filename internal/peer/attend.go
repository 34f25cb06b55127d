package peer

import (
	"context"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	grpcpeer "google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/oslorpc/oslorpc/internal/carrier"
)

const (
	// lookTime is the interval at which the pool checks its connected peers.
	lookTime = 250 * time.Millisecond
	// quietTime is how long a peer with outstanding messages may send nothing before it is probed.
	quietTime = time.Second
	// probeTime is how long a peer has to answer a probe. A busy program still answers in
	// milliseconds.
	probeTime = time.Second
	// wantedTime is how long after a message for a peer that is down its back-off is shortened.
	wantedTime = 3 * time.Second
)

// attend adds a peer to the peers that the pool checks regularly. While there are any, one
// goroutine of the pool checks all of them.
func (p *Pool) attend(peer *Peer) {
	p.attending.Lock()
	defer p.attending.Unlock()
	p.attended[peer] = struct{}{}
	if len(p.attended) == 1 {
		p.leave = make(chan struct{})
		go p.look(p.leave)
	}
}

func (p *Pool) forget(peer *Peer) {
	p.attending.Lock()
	defer p.attending.Unlock()
	if _, there := p.attended[peer]; !there {
		return
	}
	delete(p.attended, peer)
	if len(p.attended) == 0 {
		close(p.leave)
	}
}

func (p *Pool) look(leave <-chan struct{}) {
	tick := time.NewTicker(lookTime)
	defer tick.Stop()
	var peers []*Peer
	for {
		select {
		case <-leave:
			return
		case now := <-tick.C:
			p.attending.Lock()
			peers = slices.AppendSeq(peers[:0], maps.Keys(p.attended))
			p.attending.Unlock()
			for _, peer := range peers {
				peer.look(now)
			}
			clear(peers)
		}
	}
}

// attention is what the pool's goroutine records about a peer. Only that goroutine uses it, except
// for probing and answered.
type attention struct {
	line  *line
	reads uint64
	heard time.Time // when it last noticed new data from the peer, or that no answer was outstanding

	probing  atomic.Bool
	answered atomic.Bool // a probe was answered
}

// look checks a peer: it probes a connected peer that does not answer, and shortens the back-off of
// a peer that is down and wanted.
func (p *Peer) look(now time.Time) {
	switch h := carrier.Health(p.health.Load()); {
	case h == carrier.Down && now.UnixNano()-p.wanted.Load() < int64(wantedTime):
		p.mu.Lock()
		conn := p.conn
		p.mu.Unlock()
		p.hasten(conn)
	case p.up():
		p.listen(now, h)
	}
}

// listen probes a connected peer that has sent nothing for too long, and records that a silent peer
// sends data again.
func (p *Peer) listen(now time.Time, h carrier.Health) {
	a, l := &p.watch, p.sight.line.Load()
	spoke := a.spoke(l)
	if spoke {
		p.change(carrier.Silent, carrier.Ready)
	}
	if spoke || h == carrier.Ready && p.Outstanding() == 0 {
		a.heard = now
		return
	}
	quiet := now.Sub(a.heard)
	if owes := l != nil && l.owes(p.uses.Load(), p.Outstanding()); quiet >= quietTime || quiet >= lookTime && owes {
		p.probe()
	}
}

// spoke reports whether the peer has sent data since the last call.
func (a *attention) spoke(l *line) bool {
	spoke := a.answered.Swap(false) || l != a.line
	a.line = l
	if l != nil {
		reads := l.reads.Load()
		spoke, a.reads = spoke || reads != a.reads, reads
	}
	return spoke
}

// probe starts to find out whether the peer answers, unless a probe is already running.
func (p *Peer) probe() {
	if p.watch.probing.Swap(true) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	conn, life := p.conn, p.life
	p.running.Go(func() {
		defer p.watch.probing.Store(false)
		p.ask(life, conn)
	})
}

// ask makes a health check of the peer. Any reply shows that the peer is alive, even an error, and
// so does any other data from it. Without any, the peer is marked silent.
func (p *Peer) ask(ctx context.Context, conn *grpc.ClientConn) {
	l := p.sight.line.Load()
	var before uint64
	if l != nil {
		before = l.reads.Load()
	}
	var answers, sent bool
	if p.Outstanding() < p.Capacity() {
		answers, sent = asked(ctx, conn)
	}
	switch {
	case ctx.Err() != nil || p.sight.line.Load() != l: // the connection ended
	case l != nil && l.reads.Load() != before:
	case answers || !sent && p.greets(ctx):
		p.watch.answered.Store(true)
		if l != nil {
			l.hear()
		}
	default:
		p.change(carrier.Ready, carrier.Silent)
	}
}

// asked makes the health check on a connection, within probeTime. Sent is false if the request
// could not be sent, for example because all streams are in use.
func asked(ctx context.Context, conn *grpc.ClientConn) (answers, sent bool) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	var opened grpcpeer.Peer
	_, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{}, grpc.Peer(&opened), grpc.WaitForReady(false))
	sent = opened.Addr != nil || opened.LocalAddr != nil || opened.AuthInfo != nil
	switch status.Code(err) {
	case codes.DeadlineExceeded, codes.Canceled, codes.Unavailable:
		return false, sent
	default:
		return err == nil || sent, sent
	}
}

// greets reports whether the peer accepts a second connection and sends its HTTP/2 preface on it.
func (p *Peer) greets(ctx context.Context) bool {
	conn, err := p.pool.dial(p.key, &sight{})
	if err != nil {
		return false
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	conn.Connect()
	for state := conn.GetState(); state != connectivity.Ready; state = conn.GetState() {
		if state == connectivity.TransientFailure || !conn.WaitForStateChange(ctx, state) {
			return false
		}
	}
	return true
}
