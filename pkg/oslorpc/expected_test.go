package oslorpc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

var errAbsent = errors.New("absent")

// returning returns a method that fails with err.
func returning(err error) oslorpc.Method {
	return oslorpc.Func(func(context.Context, oslorpc.NoArgs) (any, error) { return nil, err })
}

func TestExpectedErrors(t *testing.T) {
	path := &fs.PathError{Op: "open", Path: "/x", Err: fs.ErrNotExist}
	for name, test := range map[string]struct {
		method   oslorpc.Method
		expected bool
	}{
		"not marked":              {returning(errAbsent), false},
		"marked":                  {returning(errAbsent).Expect(errAbsent), true},
		"marked, and wrapped":     {returning(fmt.Errorf("port: %w", errAbsent)).Expect(errAbsent), true},
		"marked for another":      {returning(errBroken).Expect(errAbsent), false},
		"one of several":          {returning(errBroken).Expect(errAbsent, errBroken), true},
		"marked twice, the first": {returning(errBroken).Expect(errBroken).Expect(errAbsent), true},
		"marked twice, the last":  {returning(errBroken).Expect(errAbsent).Expect(errBroken), true},
		"by type":                 {returning(path).Expect(oslorpc.ErrorType[*fs.PathError]()), true},
		"by type, and wrapped":    {returning(fmt.Errorf("x: %w", path)).Expect(oslorpc.ErrorType[*fs.PathError]()), true},
		"by another type":         {returning(errBroken).Expect(oslorpc.ErrorType[*fs.PathError]()), false},
		"by an interface": {returning(path).Expect(oslorpc.ErrorType[interface {
			error
			Timeout() bool
		}]()), true},
		"by kind":       {returning(&oslorpc.Error{Kind: oslorpc.NoInstance}).Expect(oslorpc.NoInstance), true},
		"exposed, then": {returning(errAbsent).Expose().Expect(errAbsent), true},
		"then exposed":  {returning(errAbsent).Expect(errAbsent).Expose(), true},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			server := open(t, oslorpc.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))))
			serveOn(t, server, oslorpc.Target{Topic: "agents", Server: "net1"},
				oslorpc.Endpoint{Methods: map[string]oslorpc.Method{"foo": test.method}})
			_, err := oslorpc.Call[any](t.Context(), client(t), "foo", nil)
			wantKind(t, err, oslorpc.Remote, false)
			level := "level=ERROR"
			if test.expected {
				level = "level=DEBUG"
			}
			if text := log.String(); !strings.Contains(text, level+` msg="method failed"`) {
				t.Errorf("want %s:\n%s", level, text)
			}
		})
	}
}

// In oslo.messaging, a method whose marks are in the wrong order is not exposed.
func TestMarksComeInAnyOrder(t *testing.T) {
	foo := says("foo")
	serveWith(t, []oslorpc.ServerOption{oslorpc.WithAccessPolicy(oslorpc.AllowExposed)}, oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
		"exposed_first": foo.Expose().Expect(errAbsent),
		"exposed_last":  foo.Expect(errAbsent).Expose(),
		"not_exposed":   foo.Expect(errAbsent),
	}}, oslorpc.Endpoint{Struct: oslorpc.Methods(guarded{}).
		Expect("Open", errAbsent).
		Expose("Open", "Secret").
		Rename("Open", "opened").
		Expect("Open", errBroken)})
	wantAnswers(t, client(t), map[string]string{
		"exposed_first": "foo", "exposed_last": "foo", "not_exposed": "", "opened": "open", "open": "", "secret": "secret",
	})
}

type ports struct{}

func (ports) Get(context.Context) error  { return fmt.Errorf("port 7: %w", errAbsent) }
func (ports) List(context.Context) error { return errBroken }

func TestExpectMarksMethodsOfAStruct(t *testing.T) {
	var log bytes.Buffer
	server := open(t, oslorpc.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelInfo}))))
	serveOn(t, server, oslorpc.Target{Topic: "agents", Server: "net1"},
		oslorpc.Endpoint{Struct: oslorpc.Methods(ports{}).Expect("Get", errAbsent).Expect("List", errAbsent)})
	for _, method := range []string{"get", "list"} {
		_, err := oslorpc.Call[any](t.Context(), client(t), method, nil)
		wantKind(t, err, oslorpc.Remote, false)
	}
	if text := log.String(); strings.Contains(text, "method=get") || !strings.Contains(text, "method=list error=broken") {
		t.Errorf("the log is\n%s", text)
	}
}
