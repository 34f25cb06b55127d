//go:build linux

package role

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oslorpc/oslorpc/internal/lab/history"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// Client is a process that sends messages.
type Client struct {
	Topics []string `json:"topics"`
	// Forms are the forms of the messages, with equal shares.
	Forms []history.Form `json:"forms"`
	// Servers are the names of the servers for every other message. Without names, all messages are
	// for any server.
	Servers []string `json:"servers,omitempty"`
	Version string   `json:"version,omitempty"`
	// Callers is how many callers send concurrently, and Pace how long each waits after a message.
	Callers int           `json:"callers"`
	Pace    time.Duration `json:"pace"`
	// Timeout is how long an operation may take, and Length how long a method or an item takes.
	Timeout time.Duration `json:"timeout"`
	Length  time.Duration `json:"length"`
	Items   int           `json:"items"`
	// Monitor is the timeout of monitored calls.
	Monitor time.Duration `json:"monitor"`
	// Cancels and Fails are the shares of operations that the client cancels, and whose method
	// fails.
	Cancels float64 `json:"cancels,omitempty"`
	Fails   float64 `json:"fails,omitempty"`
	// Interceptor adds an interceptor to the transport's connections that changes nothing.
	Interceptor bool   `json:"interceptor,omitempty"`
	Seed        uint64 `json:"seed"`
	// Once makes each caller send one message of each form. Then the process ends.
	Once     bool     `json:"once,omitempty"`
	Sabotage Sabotage `json:"sabotage,omitempty"`
}

// overdue is how long after its deadline an operation is considered hung, when the client stops.
const overdue = 10 * time.Second

// load sends messages until ctx ends, and returns when all have ended.
func (c *Config) load(ctx context.Context, out *history.Writer) error {
	t, err := c.open(c.Client.options()...)
	if err != nil {
		return err
	}
	l := &loader{Client: c.Client, config: c, process: c.Process, transport: t, out: out, running: map[*history.Operation]bool{}}
	fmt.Fprintln(os.Stdout, Ready)
	stopCounting := l.count()
	var callers sync.WaitGroup
	for n := range l.Callers {
		callers.Go(func() { l.call(ctx, rand.New(rand.NewPCG(l.Seed, uint64(n)))) }) //nolint:gosec // n is small.
	}
	l.wait(ctx, &callers)
	stopCounting()
	l.leak()
	return t.Close()
}

// loader is a running client.
type loader struct {
	*Client

	config    *Config
	process   string
	transport *oslorpc.Transport
	out       *history.Writer
	last      atomic.Int64 // the number of the last operation
	ended     atomic.Int64 // how many have ended

	mu      sync.Mutex
	running map[*history.Operation]bool
}

// count regularly prints how many operations have ended, for the scenario.
func (l *loader) count() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				fmt.Fprintln(os.Stdout, l.ended.Load())
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() { cancel(); <-done }
}

// call sends one message after the other.
func (l *loader) call(ctx context.Context, random *rand.Rand) {
	first := random.IntN(len(l.Forms))
	for n := 0; ctx.Err() == nil && (!l.Once || n < len(l.Forms)); n++ {
		m := l.next(random, l.Forms[(first+n)%len(l.Forms)])
		l.perform(m)
		_ = sleep(ctx, l.Pace) // the loop checks ctx
	}
}

// message is an operation to perform.
type message struct {
	op  *history.Operation
	job Job
	// cancel is when to cancel the operation; 0 for never.
	cancel time.Duration
}

// next generates a message.
func (l *loader) next(random *rand.Rand, form history.Form) message {
	op := &history.Operation{
		ID:   fmt.Sprintf("%s/%s/%d", form, l.process, l.last.Add(1)),
		Form: form, Client: l.process, Version: l.Version, Topic: l.Topics[random.IntN(len(l.Topics))],
	}
	m := message{op: op, job: Job{ID: op.ID, Length: l.Length}}
	if form.Streams() {
		m.job.Items, op.Asked, m.job.Quiet = l.Items, l.Items, random.IntN(2) == 0
	}
	if len(l.Servers) > 0 && !form.All() && random.IntN(2) == 0 {
		op.To = l.Servers[random.IntN(len(l.Servers))]
	}
	if random.Float64() < l.Cancels {
		m.cancel = time.Duration(random.Int64N(int64(2*l.Length+time.Millisecond))) + 1
	}
	if !form.Streams() && random.Float64() < l.Fails {
		m.job.Fails, op.Fails = true, true
	}
	return m
}

// perform performs an operation and writes its outcome.
func (l *loader) perform(m message) {
	op := m.op
	ctx, cancel := context.WithTimeout(context.Background(), l.Timeout)
	defer cancel()
	op.Begin = time.Now()
	op.Deadline = op.Begin.Add(l.Timeout)
	l.mu.Lock()
	l.running[op] = true
	l.mu.Unlock()
	if m.cancel > 0 {
		op.Canceled = true
		op.Deadline = op.Begin.Add(min(m.cancel, l.Timeout))
		defer time.AfterFunc(m.cancel, cancel).Stop()
	}
	err := l.send(ctx, l.client(op), m)
	op.End = time.Now()
	l.told(op, err)
	l.mu.Lock()
	running := l.running[op]
	delete(l.running, op)
	l.mu.Unlock()
	if running {
		l.out.Write(history.Record{Operation: op})
	}
	l.ended.Add(1)
}

func (l *loader) told(op *history.Operation, err error) {
	op.OK = err == nil
	if err == nil {
		return
	}
	op.Kind, op.Error, op.Safe = oslorpc.KindOf(err).Name(), err.Error(), oslorpc.SafeToRetry(err) || l.Sabotage == Hush
}

func (l *loader) client(op *history.Operation) *oslorpc.Client {
	options := []oslorpc.ClientOption{oslorpc.WithTimeout(l.Timeout)}
	if op.Form == history.Monitored {
		options = append(options, oslorpc.WithCallMonitorTimeout(l.Monitor))
	}
	return l.transport.Client(oslorpc.Target{Topic: op.Topic, Server: op.To, Version: l.Version}, options...)
}

// wait returns when all callers have ended. If some do not end, it writes that their operations
// hang.
func (l *loader) wait(ctx context.Context, callers *sync.WaitGroup) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		callers.Wait()
	}()
	select {
	case <-done:
		return
	case <-ctx.Done():
	}
	select {
	case <-done:
	case <-time.After(l.Timeout + overdue):
		l.hung()
	}
}

func (l *loader) hung() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for op := range l.running {
		written := history.Operation{
			ID: op.ID, Form: op.Form, Client: op.Client, Topic: op.Topic, To: op.To, Begin: op.Begin, Deadline: op.Deadline, End: time.Now(), Hung: true,
		}
		l.out.Write(history.Record{Operation: &written})
	}
	clear(l.running)
}
