package dispatch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oslorpc/oslorpc/internal/lograte"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

var errNoPort = errors.New("no such port")

// expecting adds expected errors to a method.
func expecting(m *Method, accepts ...func(error) bool) *Method {
	m.Expected = accepts
	return m
}

func isNoPort(err error) bool { return errors.Is(err, errNoPort) }

func never(error) bool { return false }

func TestFailuresAreLogged(t *testing.T) {
	t.Parallel()
	const none = "" // no line
	for _, test := range []struct {
		name   string
		method *Method
		level  string
		parts  []string
	}{
		{"no failure", returns("1"), none, nil},
		{"unexpected", fails(errNoPort), "ERROR", []string{"method failed", "no such port", "server=net1", "method=foo"}},
		{"expected", expecting(fails(errNoPort), isNoPort), "DEBUG", []string{"method failed", "no such port", "server=net1", "method=foo"}},
		{"expected, wrapped", expecting(fails(fmt.Errorf("bind: %w", errNoPort)), isNoPort), "DEBUG", nil},
		{"expected by one of several", expecting(fails(errNoPort), never, isNoPort), "DEBUG", nil},
		{"another than expected", expecting(fails(errors.New("disk full")), never, isNoPort), "ERROR", []string{"disk full"}},
		{"a panic with what is expected", expecting(panicking(errNoPort), isNoPort), "ERROR", []string{"method panicked", "stack="}},
		{"an error that panics", expecting(fails((*fs.PathError)(nil)), func(err error) bool { return err.Error() == "" }), "ERROR", []string{"method panicked"}},
		{"from further on", fails(&rpc.RemoteError{Type: "E", Message: "m", Stack: []string{"line"}, Hops: []string{"net7"}}), "ERROR", []string{"method failed"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			s := newLoggedServer(t, DefaultLimits, map[string]*Method{"foo": test.method}, newLog(&log))
			_, err := call(t.Context(), s, request("foo", ""))
			if (err == nil) != (test.level == none) {
				t.Errorf("got %v", err)
			}
			if err != nil {
				remote(t, err) // whether it was expected is none of the caller's business
			}
			called := log.String()
			checkLine(t, called, test.level, test.parts)
			log.Reset()
			if err := s.Cast(context.Background(), request("foo", "")); err != nil {
				t.Error(err)
			}
			if err := s.Stop(t.Context()); err != nil {
				t.Error(err)
			}
			checkLine(t, log.String(), test.level, test.parts) // of a cast there is the same line, and no other
		})
	}
}

// lockedLog is a log to which timers also write.
type lockedLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lockedLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *lockedLog) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Reset()
}

// Failing casts cannot fill the log, whatever is wrong with them.
func TestFailingCastsDoNotFillTheLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log lockedLog
		s := newLoggedServer(t, DefaultLimits, map[string]*Method{"foo": fails(errNoPort), "bar": panicking(errNoPort)}, newLog(&log))
		const casts = 500
		for range casts {
			for _, method := range []string{"foo", "bar"} {
				if err := s.Cast(t.Context(), request(method, "")); err != nil {
					t.Fatal(err)
				}
				synctest.Wait() // it has run
			}
		}
		if got := strings.Count(log.String(), "\n"); got != 2*lograte.Burst {
			t.Errorf("%d lines:\n%s", got, log.String())
		}
		log.Reset()
		time.Sleep(lograte.Interval)
		synctest.Wait()
		want := fmt.Sprintf("left_out=%d", casts-lograte.Burst)
		if strings.Count(log.String(), want) != 2 || strings.Count(log.String(), "\n") != 2 {
			t.Errorf("want two lines with %s:\n%s", want, log.String())
		}
	})
}

// checkLine fails the test unless the log is one line with this level and all parts. Without a
// level, the log must be empty.
func checkLine(t *testing.T, log, level string, parts []string) {
	t.Helper()
	if level == "" {
		if log != "" {
			t.Errorf("there is a log:\n%s", log)
		}
		return
	}
	if strings.Count(log, "\n") != 1 || !strings.Contains(log, "level="+level) {
		t.Errorf("want one line of level %s:\n%s", level, log)
	}
	for _, part := range parts {
		if !strings.Contains(log, part) {
			t.Errorf("the log lacks %q:\n%s", part, log)
		}
	}
}

func TestProbesAreNoMatterForTheLog(t *testing.T) {
	t.Parallel()
	passedOn := &rpc.Error{Kind: rpc.NoSuchMethod, Message: "no endpoint has it", NotStarted: true}
	further := &rpc.RemoteError{Type: "oslorpc.NoSuchMethod", Message: "no endpoint has it", Hops: []string{"net8"}}
	for _, test := range []struct {
		name   string
		method string
		impl   *Method // nil: it is not there
		level  string
	}{
		{"refused", "are_you_there_ignore_errors", nil, ""},
		{"refused, and not a probe", "are_you_there", nil, ""},
		{"passed on", "are_you_there_ignore_errors", fails(passedOn), "DEBUG"},
		{"passed on twice", "are_you_there_ignore_errors", fails(further), "DEBUG"},
		{"passed on, and not a probe", "ignore_errors_are_you_there", fails(passedOn), "ERROR"},
		{"failing otherwise", "are_you_there_ignore_errors", fails(errNoPort), "ERROR"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			methods := map[string]*Method{}
			if test.impl != nil {
				methods[test.method] = test.impl
			}
			s := newLoggedServer(t, DefaultLimits, methods, newLog(&log))
			if _, err := call(t.Context(), s, request(test.method, "")); err == nil {
				t.Error("want an error")
			}
			checkLine(t, log.String(), test.level, nil)
		})
	}
}

// If the caller gives up and the method then ends, the server logs no error, since the error helps
// neither of them.
func TestCallerThatWentAwayIsNoMatterForTheLog(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err   error
		level string
	}{
		"gives up":                  {context.Canceled, "DEBUG"},
		"gives up in its words":     {fmt.Errorf("waiting: %w", context.Canceled), "DEBUG"},
		"fails with something else": {errNoPort, "ERROR"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				s := newLoggedServer(t, DefaultLimits, map[string]*Method{"foo": plain(func(ctx context.Context, _ Emit) error {
					<-ctx.Done()
					return &MethodError{Err: test.err}
				})}, newLog(&log))
				ctx, cancel := context.WithCancel(t.Context())
				ended := started(ctx, s, request("foo", ""))
				synctest.Wait()
				cancel()
				remote(t, <-ended)
				checkLine(t, log.String(), test.level, nil)
			})
		})
	}
}

// A method may repeat its caller's data in its failure. This must not fill the log.
func TestLogIsBounded(t *testing.T) {
	t.Parallel()
	huge := strings.Repeat("ü", 1<<20)
	for name, method := range map[string]*Method{
		"an error": fails(errors.New(huge)),
		"a panic":  plain(func(context.Context, Emit) error { panic(huge) }),
	} {
		var log bytes.Buffer
		s := newLoggedServer(t, DefaultLimits, map[string]*Method{"foo": method}, newLog(&log))
		_, err := call(t.Context(), s, request("foo", ""))
		if r := remote(t, err); r.Message != huge {
			t.Errorf("%s: the caller's error was cut, to %d bytes", name, len(r.Message))
		}
		if n := log.Len(); n > 20<<10 || !strings.Contains(log.String(), "(2097") {
			t.Errorf("%s: %d bytes were logged: %.200q", name, n, log.String())
		}
	}
}
