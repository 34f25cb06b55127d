package badpeer

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/grpclog"

	"github.com/oslorpc/oslorpc/internal/leak"
	typedtest "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

const (
	// slack is how much later than its deadline an operation may end on a busy machine.
	slack = 8 * time.Second
	// maxErrorText and maxLog limit what a peer can make a program store and log, for one
	// operation.
	maxErrorText, maxLog = 8 << 10, 16 << 10
	// maxHeap is the maximum memory that a peer may make a program use at a time: a few times the
	// largest message.
	maxHeap = 400 << 20
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "10"); err != nil { // the tests mostly wait
		panic(err)
	}
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, &grpcLog))
	leak.Main(m)
}

// grpcLog counts the lines that gRPC writes to stderr by default. gRPC writes a line for each
// connection that ends because of too many pings.
var grpcLog counter

func checkGRPCLog(t *testing.T) {
	t.Helper()
	t.Cleanup(func() { // runs after the parallel tests
		if n := grpcLog.n.Load(); n > 256<<10 {
			t.Errorf("gRPC logged %d bytes", n)
		}
	})
}

// ended returns nil for the regular end of a stream.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// counter counts log lines.
type counter struct{ n atomic.Int64 }

func (c *counter) Write(b []byte) (int, error) {
	c.n.Add(int64(len(b)))
	return len(b), nil
}

// open returns a transport and the counter of its log.
func (k *kind) open(t *testing.T, url string, intercepted bool) (*oslorpc.Transport, *counter) {
	t.Helper()
	log := &counter{}
	options := []oslorpc.TransportOption{oslorpc.WithLogger(slog.New(slog.NewTextHandler(log, nil))), oslorpc.WithStopGrace(0)}
	if k.security != nil {
		options = append(options, oslorpc.WithTrust(trust.Config{Credentials: k.security}))
	}
	if intercepted {
		options = append(options, oslorpc.WithDialOptions(grpc.WithUserAgent("test")))
	}
	transport, err := oslorpc.Open(url, options...)
	if err != nil {
		t.Fatal(err)
	}
	return transport, log
}

// deadline is the deadline of an operation.
const deadline = 3 * time.Second

// again limits how many operations are retried at a time. In the first attempt, a hundred
// operations run at a time and may have kept each other from the processor.
var again = make(chan struct{}, 2)

// patiently retries a check that a slow machine may have disturbed, with a longer deadline and
// fewer concurrent operations. The test fails if every attempt fails.
func patiently(t *testing.T, try func(deadline time.Duration) (problems []string)) {
	t.Helper()
	var problems []string
	for n := range 3 {
		if n == 1 {
			again <- struct{}{}
			defer func() { <-again }()
		}
		if problems = try(deadline << n); len(problems) == 0 {
			return
		}
	}
	for _, p := range problems {
		t.Error(p)
	}
}

// TestBadPeer checks each kind of bad peer alone: every operation ends in time, with an error that
// is true.
func TestBadPeer(t *testing.T) {
	checkGRPCLog(t)
	for _, k := range allKinds() {
		t.Run(k.name, func(t *testing.T) {
			if !k.greedy {
				t.Parallel()
			} else {
				defer watchHeap(t)()
			}
			var running sync.WaitGroup
			for name := range operations(0) {
				for _, intercepted := range []bool{false, true} {
					if intercepted && name != call && name != multicall && name != typedCall {
						continue
					}
					operate := func() {
						patiently(t, func(deadline time.Duration) []string { return k.operate(t, name, deadline, intercepted) })
					}
					if k.greedy {
						operate()
					} else {
						running.Go(operate)
					}
				}
			}
			running.Wait()
		})
	}
}

// operate sends one message to a peer and returns the problems with the outcome.
func (k *kind) operate(t *testing.T, name string, deadline time.Duration, intercepted bool) (problems []string) {
	p := k.start(t)
	transport, log := k.open(t, "static://agents="+p.addr(), intercepted)
	defer transport.Close()
	c := transport.Client(oslorpc.Target{Topic: "agents"}, oslorpc.WithTimeout(deadline))
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	began := time.Now()
	err := operations(deadline)[name](ctx, c, k.args())
	if took := time.Since(began); took > deadline+slack {
		problems = append(problems, fmt.Sprintf("%s: it took %v", name, took))
	}
	k.checkOnce(t, p, name, err)
	checkText(t, name, err)
	if n := log.n.Load(); n > maxLog {
		t.Errorf("%s: it logged %d bytes", name, n)
	}
	if wrong := k.of(name).without(err); wrong != "" {
		problems = append(problems, name+": "+wrong)
	}
	return problems
}

// without returns a description if err is not a permitted outcome, or "" if it is.
func (o outcome) without(err error) string {
	switch safe := oslorpc.SafeToRetry(err); {
	case err == nil && !o.fine:
		return "it succeeded"
	case err == nil:
		return ""
	case !slices.Contains(o.kinds, oslorpc.KindOf(err)):
		return fmt.Sprintf("got %s: %.300v", oslorpc.KindOf(err).Name(), err)
	case o.safe && !safe && oslorpc.KindOf(err) != oslorpc.Timeout: // the deadline may pass during an attempt
		return fmt.Sprintf("it is not safe to retry: %.300v", err)
	case len(o.kinds) == 1 && !o.safe && safe:
		return fmt.Sprintf("it is safe to retry: %.300v", err)
	default:
		return ""
	}
}

func checkText(t *testing.T, name string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if n := len(err.Error()); n > maxErrorText {
		t.Errorf("%s: the error has %d bytes", name, n)
	}
	if e, ok := errors.AsType[*oslorpc.Error](err); !ok || e.Addr == "" {
		t.Errorf("%s: the error does not say at which address: %.300v", name, err)
	}
}

// checkOnce checks that no message that may have run was sent again, or is reported as safe to send
// again.
func (k *kind) checkOnce(t *testing.T, p *badPeer, name string, err error) {
	t.Helper()
	for id, n := range p.times() {
		if n > 1 && !k.proves {
			t.Errorf("%s: message %q arrived %d times", name, id, n)
		}
		if oslorpc.SafeToRetry(err) && !k.proves {
			t.Errorf("%s: message %q arrived, and the error says that it is safe to retry: %.300v", name, id, err)
		}
	}
}

// watchHeap returns a function that fails the test if the heap has grown too much until then.
func watchHeap(t *testing.T) func() {
	t.Helper()
	before, stop := heap(), make(chan struct{})
	var watching sync.WaitGroup
	var most uint64
	watching.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			most = max(most, heap())
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	})
	return func() {
		close(stop)
		watching.Wait()
		t.Logf("the heap grew by %d MiB", (most-min(most, before))>>20)
		if most > before+maxHeap {
			t.Errorf("the heap grew by %d MiB", (most-before)>>20)
		}
	}
}

func heap() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// healthy is a correct server that records the messages that it ran.
type healthy struct {
	typedtest.UnimplementedInventoryServiceServer

	mu  sync.Mutex
	ran map[string]int
}

// work records the message.
func (h *healthy) work(ctx context.Context, _ args) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ran[oslorpc.MessageFrom(ctx).ID]++
	return "done", nil
}

// CreateVolume records nothing, since its messages have no ID.
func (h *healthy) CreateVolume(context.Context, *typedtest.CreateVolumeRequest) (*typedtest.CreateVolumeResponse, error) {
	return &typedtest.CreateVolumeResponse{}, nil
}

func (h *healthy) WatchVolumes(*typedtest.WatchVolumesRequest, grpc.ServerStreamingServer[typedtest.WatchVolumesResponse]) error {
	return nil
}

func (h *healthy) times() map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.ran)
}

// start serves until the test ends, and returns the address.
func (h *healthy) start(t *testing.T, k *kind) string {
	t.Helper()
	transport, _ := k.open(t, "memory://"+strings.Map(lettersOf, t.Name()), false)
	t.Cleanup(func() { transport.Close() })
	s := transport.Server(oslorpc.Target{Topic: "agents", Server: "good"},
		oslorpc.WithServices(func(r grpc.ServiceRegistrar) { typedtest.RegisterInventoryServiceServer(r, h) }))
	s.Add(oslorpc.Endpoint{Methods: map[string]oslorpc.Method{"work": oslorpc.Func(h.work)}})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	i, _ := s.Instance()
	return i.Addr
}

func lettersOf(r rune) rune {
	if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
		return r
	}
	return '-'
}

// TestBadPeerBesideAHealthyServer checks each kind of bad peer beside a healthy server. Messages
// for any server succeed, except for messages that the bad peer may have run.
func TestBadPeerBesideAHealthyServer(t *testing.T) {
	checkGRPCLog(t)
	anyServer := []string{call, cast, monitored, multicall, typedCall, typedStream}
	for _, k := range allKinds() {
		t.Run(k.name, func(t *testing.T) {
			if !k.greedy {
				t.Parallel()
			}
			h := &healthy{ran: map[string]int{}}
			addr := h.start(t, k)
			var running sync.WaitGroup
			for _, name := range anyServer {
				running.Go(func() {
					patiently(t, func(deadline time.Duration) []string { return k.goesOn(t, h, addr, name, deadline) })
				})
			}
			running.Wait()
		})
	}
}

// rounds is how many messages are sent one after the other.
const rounds = 4

// goesOn sends messages that may go to the peer or a healthy server, and returns the problems with
// the outcomes.
func (k *kind) goesOn(t *testing.T, h *healthy, good, name string, deadline time.Duration) (problems []string) {
	p := k.start(t)
	transport, log := k.open(t, "static://agents="+p.addr()+",agents="+good, false)
	defer transport.Close()
	c := transport.Client(oslorpc.Target{Topic: "agents"}, oslorpc.WithTimeout(deadline))
	wrong := func(format string, args ...any) { problems = append(problems, name+": "+fmt.Sprintf(format, args...)) }
	for range rounds {
		before, began := total(p.times()), time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), deadline)
		err := operations(deadline)[name](ctx, c, k.args())
		cancel()
		if took := time.Since(began); took > deadline+slack {
			wrong("it took %v", took)
		}
		switch {
		case err == nil || k.final:
		case k.provesTo(name):
			wrong("it failed, although it was not run: %.300v", err)
		case oslorpc.SafeToRetry(err) && !k.headed:
			wrong("it was not sent to the healthy server: %.300v", err)
		case total(p.times()) == before && !k.behavior.vague():
			wrong("it failed, although the bad peer did not receive it: %.300v", err)
		}
	}
	got := p.times()
	for id, n := range h.times() {
		if n > 1 {
			t.Errorf("%s: message %q ran %d times", name, id, n)
		}
		if got[id] > 0 && id != "" && !k.proves {
			t.Errorf("%s: message %q ran although the bad peer may have run it", name, id)
		}
	}
	if n := log.n.Load(); n > rounds*maxLog {
		t.Errorf("%s: it logged %d bytes", name, n)
	}
	return problems
}

// vague reports whether a peer receives only parts of messages, so that a client cannot know
// whether they ran.
func (b *behavior) vague() bool {
	return b.begun != nil || b.stingy || len(b.settings) > 0 || b.greeted != nil
}

func total(times map[string]int) (sum int) {
	for _, n := range times {
		sum += n
	}
	return sum
}
