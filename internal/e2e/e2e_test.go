//go:build unix

// Package e2e tests what oslorpc promises about delivery with real processes, signals and
// registries. The servers are processes that are killed, frozen and stopped while the test calls
// them.
package e2e

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/internal/anycarrier"
	"github.com/oslorpc/oslorpc/internal/freeze"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// These are environment variables of a process that is a server instead of the test.
const (
	envURL  = "OSLORPC_E2E_URL"
	envName = "OSLORPC_E2E_NAME"
	envLog  = "OSLORPC_E2E_LOG"
	// envVersion is the version that the server implements.
	envVersion = "OSLORPC_E2E_VERSION"
)

const topic = "e2e"

func TestMain(m *testing.M) {
	if url := os.Getenv(envURL); url != "" {
		if err := serve(url, os.Getenv(envName), os.Getenv(envLog), os.Getenv(envVersion)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	anycarrier.Main(m)
}

// job has the arguments of the method work: an ID to log when it runs, and how long it takes. since
// is the version that the job needs, if any.
type job struct {
	ID     string              `json:"id"`
	Length time.Duration       `json:"length"`
	Since  oslorpc.Opt[string] `json:"since"`
}

// serve is the server process. It appends each job that it runs to a file, as one line in one
// write.
func serve(url, name, logPath, version string) error {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	t, err := oslorpc.Open(url)
	if err != nil {
		return err
	}
	s := t.Server(oslorpc.Target{Topic: topic, Server: name})
	s.Add(oslorpc.Endpoint{Version: version, Methods: map[string]oslorpc.Method{
		"work": oslorpc.Func(func(ctx context.Context, j job) (string, error) {
			asked := oslorpc.MessageFrom(ctx).Target.Version
			if since, versioned := j.Since.Get(); versioned && (asked != since || since > version) {
				return "", fmt.Errorf("a job for %s, which asks for %s, runs at %s", since, asked, version)
			}
			if _, err := log.WriteString(j.ID + "\n"); err != nil {
				return "", err
			}
			time.Sleep(j.Length)
			return name, nil
		}),
	}})
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := s.Start(ctx); err != nil {
		return err
	}
	fmt.Println("ready")
	<-ctx.Done()
	if err := s.Stop(context.Background()); err != nil {
		return err
	}
	return t.Close()
}

// process is a server process.
type process struct {
	name, log string
	cmd       *exec.Cmd
	exited    chan struct{}
	err       error // of the exit; read it after exited
}

// start starts a server and returns when it is registered.
func start(t *testing.T, url, name string) *process {
	t.Helper()
	return startVersion(t, url, name, "1.0")
}

// startVersion is like start, for a server that implements a version.
func startVersion(t *testing.T, url, name, version string) *process {
	t.Helper()
	p := &process{name: name, log: filepath.Join(t.TempDir(), "log"), exited: make(chan struct{})}
	p.cmd = exec.Command(os.Args[0])
	p.cmd.Env = append(os.Environ(), envURL+"="+url, envName+"="+name, envLog+"="+p.log, envVersion+"="+version)
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := bufio.NewScanner(out)
	isReady := ready.Scan()
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.signal(t, syscall.SIGKILL)
		<-p.exited
	})
	if !isReady {
		t.Fatalf("server %s did not start", name)
	}
	return p
}

// signal sends a signal to the process if it runs.
func (p *process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	select {
	case <-p.exited:
	default:
		if err := p.cmd.Process.Signal(s); err != nil {
			t.Logf("signal %v to %s: %v", s, p.name, err)
		}
	}
}

// freeze stops the process until SIGCONT. Its connections stay open, and it does not answer.
func (p *process) freeze(t *testing.T) {
	t.Helper()
	if err := freeze.Process(p.cmd.Process); err != nil {
		t.Fatal(err)
	}
}

// ran returns how often the process ran each job.
func (p *process) ran(t *testing.T) map[string]int {
	t.Helper()
	text, err := os.ReadFile(p.log)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for id := range strings.FieldsSeq(string(text)) {
		counts[id]++
	}
	return counts
}

// open returns a client of the servers at url, and its transport.
func open(t *testing.T, url string) (*oslorpc.Client, *oslorpc.Transport) {
	t.Helper()
	transport, err := oslorpc.Open(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := transport.Close(); err != nil {
			t.Error(err)
		}
	})
	return transport.Client(oslorpc.Target{Topic: topic, Version: "1.0"}), transport
}

// result is the outcome of a call.
type result struct {
	id, server string
	err        error
	started    time.Time
	ended      time.Time
}

// load calls from several goroutines.
type load struct {
	client  *oslorpc.Client
	length  time.Duration
	forms   []string // the versions of a job's variants; none for a plain one
	cast    bool     // cast rather than call
	callers sync.WaitGroup
	cancel  context.CancelFunc

	mu      sync.Mutex
	results []result
	changed chan struct{} // closed at each result
}

// pass lets some time pass.
func pass(d time.Duration) {
	timer := time.NewTimer(d)
	<-timer.C
}

// ends counts the calls that end within some time.
func (l *load) ends(d time.Duration) int {
	count := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.results)
	}
	before := count()
	pass(d)
	return count() - before
}

// startLoad calls from several goroutines until stop, or until most calls have begun if most is not
// 0. With forms, each call has a variant for each of these versions.
func startLoad(t *testing.T, client *oslorpc.Client, callers, most int, length time.Duration, forms ...string) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{client: client, length: length, forms: forms, cancel: cancel, changed: make(chan struct{})}
	l.start(ctx, t, callers, most)
	return l
}

// startCasts is like startLoad, for casts.
func startCasts(t *testing.T, client *oslorpc.Client, callers int, length time.Duration) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{client: client, length: length, cast: true, cancel: cancel, changed: make(chan struct{})}
	l.start(ctx, t, callers, 0)
	return l
}

func (l *load) start(ctx context.Context, t *testing.T, callers, most int) {
	t.Helper()
	numbers := make(chan int)
	l.callers.Go(func() {
		defer close(numbers)
		for n := 0; most == 0 || n < most; n++ {
			select {
			case numbers <- n:
			case <-ctx.Done():
				return
			}
		}
	})
	for range callers {
		l.callers.Go(func() {
			for n := range numbers {
				l.call(fmt.Sprintf("job-%d", n))
			}
		})
	}
	t.Cleanup(func() { l.stop() })
}

func (l *load) call(id string) {
	r := result{id: id, started: time.Now()}
	if l.cast {
		r.err = l.client.Cast(context.Background(), "work", l.args(id))
	} else {
		r.server, r.err = oslorpc.Call[string](context.Background(), l.client, "work", l.args(id))
	}
	r.ended = time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.results = append(l.results, r)
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *load) args(id string) any {
	if len(l.forms) == 0 {
		return job{ID: id, Length: l.length}
	}
	var variants oslorpc.Variants
	for _, v := range l.forms {
		variants = append(variants, oslorpc.Variant{Version: v, Args: job{ID: id, Length: l.length, Since: oslorpc.Some(v)}})
	}
	return variants
}

// stop waits for the running calls and returns all results.
func (l *load) stop() []result {
	l.cancel()
	return l.wait()
}

// wait returns all results when all calls were made.
func (l *load) wait() []result {
	l.callers.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.results
}

// reach returns when this many more calls have ended.
func (l *load) reach(t *testing.T, more int) {
	t.Helper()
	l.mu.Lock()
	goal := len(l.results) + more
	l.mu.Unlock()
	timeout := time.After(time.Minute)
	for {
		l.mu.Lock()
		n, changed := len(l.results), l.changed
		l.mu.Unlock()
		if n >= goal {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("%d of %d calls ended within a minute", n, goal)
		}
	}
}

// until waits until the condition holds, and fails after the limit.
func until(t *testing.T, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); !holds(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("this did not happen within %v: %s", limit, what)
		}
	}
}

// listed returns the names of the servers in discovery, or nil if discovery does not answer.
func listed(t *testing.T, transport *oslorpc.Transport) []string {
	t.Helper()
	instances, err := transport.Instances(t.Context())
	if err != nil {
		return nil
	}
	var names []string
	for _, i := range instances {
		names = append(names, i.Server)
	}
	return names
}

// checkOnce fails if a job ran twice anywhere, or if a successful job did not run on the server
// that answered.
func checkOnce(t *testing.T, results []result, servers ...*process) {
	t.Helper()
	total := map[string]int{}
	at := map[string]map[string]int{}
	for _, p := range servers {
		at[p.name] = p.ran(t)
		for id, n := range at[p.name] {
			total[id] += n
		}
	}
	for id, n := range total {
		if n > 1 {
			t.Errorf("%s ran %d times", id, n)
		}
	}
	for _, r := range results {
		if r.err == nil && r.server != "" && at[r.server][r.id] != 1 {
			t.Errorf("%s was answered by %s, which ran it %d times", r.id, r.server, at[r.server][r.id])
		}
	}
}

// wantOnce fails if a call failed, or if a job did not run exactly once over all servers.
func wantOnce(t *testing.T, results []result, servers []*process) {
	t.Helper()
	for _, r := range results {
		if r.err != nil {
			t.Errorf("%s failed: %v", r.id, r.err)
		}
	}
	total := map[string]int{}
	for _, p := range servers {
		for id, n := range p.ran(t) {
			total[id] += n
		}
	}
	for id, n := range total {
		if n != 1 {
			t.Errorf("%s ran %d times", id, n)
		}
	}
}
