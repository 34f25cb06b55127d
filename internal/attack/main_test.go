package attack

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// attackedEnv makes the test program act as the server under attack.
const attackedEnv = "OSLORPC_TEST_ATTACKED"

func TestMain(m *testing.M) {
	if os.Getenv(attackedEnv) != "" {
		serve()
		return
	}
	os.Exit(m.Run())
}

// serve runs the server under attack until standard input ends.
func serve() {
	t, err := oslorpc.Open("memory://attacked", oslorpc.WithLimits(rpc.Limits{Memory: 512 << 20}), oslorpc.WithStopGrace(0))
	if err != nil {
		log.Fatal(err)
	}
	s := t.Server(oslorpc.Target{Topic: "topic", Server: "attacked"})
	s.Add(oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
		"echo": oslorpc.Func(func(_ context.Context, a struct{ Text string }) (string, error) { return a.Text, nil }),
		"any":  oslorpc.Func(func(_ context.Context, a map[string]any) (int, error) { return len(a), nil }),
		"big":  oslorpc.Func(func(context.Context, oslorpc.NoArgs) (string, error) { return strings.Repeat("x", 8<<20), nil }),
		"hold": oslorpc.Func(func(ctx context.Context, _ oslorpc.NoArgs) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		}),
		"items": oslorpc.Stream(func(context.Context, oslorpc.NoArgs) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				for yield(strings.Repeat("x", 1<<10), nil) {
				}
			}
		}),
	}})
	if err := s.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	i, _ := s.Instance()
	fmt.Println(i.Addr)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// server is a process under attack.
type server struct {
	addr string
	pid  int
	mu   sync.Mutex
	log  strings.Builder
}

// start starts a server that ends with the test.
func start(t *testing.T, wrap ...string) *server {
	t.Helper()
	if testing.Short() || raceEnabled {
		t.Skip("the limits are for a server without the race detector")
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := append(wrap, program)
	cmd := exec.CommandContext(context.Background(), args[0], args[1:]...)
	cmd.Env = append(os.Environ(), attackedEnv+"=1")
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	s := &server{}
	cmd.Stderr = s
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server ended: %v\n%s", err, s.text())
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err, s.text())
	}
	s.addr, s.pid = strings.TrimSpace(line), cmd.Process.Pid
	return s
}

// Write receives the log of the server.
func (s *server) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(b)
}

func (s *server) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

var peakLine = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// peak returns the maximum memory of the server in MiB.
func (s *server) peak(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(s.pid), "status"))
	if err != nil {
		t.Skip("this system does not report the peak memory of a process")
	}
	n, err := strconv.Atoi(peakLine.FindStringSubmatch(string(text))[1])
	if err != nil {
		t.Fatal(err)
	}
	return n >> 10
}

// others are callers that use a server during an attack.
type others struct {
	stop     context.CancelFunc
	running  sync.WaitGroup
	mu       sync.Mutex
	took     []time.Duration
	failures []error
}

// use calls the server until done is called.
func (s *server) use(t *testing.T) *others {
	t.Helper()
	transport, err := oslorpc.Open("static://topic=" + s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { transport.Close() })
	c := transport.Client(oslorpc.Target{Topic: "topic"}, oslorpc.WithTimeout(10*time.Second))
	ctx, stop := context.WithCancel(context.Background())
	o := &others{stop: stop}
	text := map[string]any{"Text": strings.Repeat("x", 1<<10)}
	for range 4 {
		o.running.Go(func() {
			for ctx.Err() == nil {
				begin := time.Now()
				_, err := oslorpc.Call[string](context.Background(), c, "echo", text)
				o.note(time.Since(begin), err)
				time.Sleep(2 * time.Millisecond)
			}
		})
	}
	return o
}

func (o *others) note(took time.Duration, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.took = append(o.took, took)
	if err != nil {
		o.failures = append(o.failures, err)
	}
}
