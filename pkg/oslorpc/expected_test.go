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

// returning makes a method that fails.
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
		"marked":                  {oslorpc.Expected(returning(errAbsent), errAbsent), true},
		"marked, and wrapped":     {oslorpc.Expected(returning(fmt.Errorf("port: %w", errAbsent)), errAbsent), true},
		"marked for another":      {oslorpc.Expected(returning(errBroken), errAbsent), false},
		"one of several":          {oslorpc.Expected(returning(errBroken), errAbsent, errBroken), true},
		"marked twice, the first": {oslorpc.Expected(oslorpc.Expected(returning(errBroken), errBroken), errAbsent), true},
		"marked twice, the last":  {oslorpc.Expected(oslorpc.Expected(returning(errBroken), errAbsent), errBroken), true},
		"by type":                 {oslorpc.Expected(returning(path), oslorpc.ErrorType[*fs.PathError]()), true},
		"by type, and wrapped":    {oslorpc.Expected(returning(fmt.Errorf("x: %w", path)), oslorpc.ErrorType[*fs.PathError]()), true},
		"by another type":         {oslorpc.Expected(returning(errBroken), oslorpc.ErrorType[*fs.PathError]()), false},
		"by an interface": {oslorpc.Expected(returning(path), oslorpc.ErrorType[interface {
			error
			Timeout() bool
		}]()), true},
		"by kind":       {oslorpc.Expected(returning(&oslorpc.Error{Kind: oslorpc.NoInstance}), oslorpc.NoInstance), true},
		"exposed, then": {oslorpc.Expected(oslorpc.Expose(returning(errAbsent)), errAbsent), true},
		"then exposed":  {oslorpc.Expose(oslorpc.Expected(returning(errAbsent), errAbsent)), true},
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

// Upstream, a method that is marked in the wrong order is not exposed.
func TestMarksComeInAnyOrder(t *testing.T) {
	foo := says("foo")
	serveWith(t, []oslorpc.ServerOption{oslorpc.WithAccessPolicy(oslorpc.AllowExposed)}, oslorpc.Endpoint{Methods: map[string]oslorpc.Method{
		"exposed_first": oslorpc.Expected(oslorpc.Expose(foo), errAbsent),
		"exposed_last":  oslorpc.Expose(oslorpc.Expected(foo, errAbsent)),
		"not_exposed":   oslorpc.Expected(foo, errAbsent),
	}}, oslorpc.Endpoint{Methods: oslorpc.Methods(guarded{}, oslorpc.ExpectErrors("Open", errAbsent),
		oslorpc.ExposeMethods("Open", "Secret"), oslorpc.Name("Open", "opened"), oslorpc.ExpectErrors("Open", errBroken))})
	wantAnswers(t, client(t), map[string]string{
		"exposed_first": "foo", "exposed_last": "foo", "not_exposed": "", "opened": "open", "open": "", "secret": "secret",
	})
}

type ports struct{}

func (ports) Get(context.Context) error  { return fmt.Errorf("port 7: %w", errAbsent) }
func (ports) List(context.Context) error { return errBroken }

func TestExpectErrorsMarksMethodsOfAStruct(t *testing.T) {
	var log bytes.Buffer
	server := open(t, oslorpc.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelInfo}))))
	serveOn(t, server, oslorpc.Target{Topic: "agents", Server: "net1"},
		oslorpc.Endpoint{Methods: oslorpc.Methods(ports{}, oslorpc.ExpectErrors("Get", errAbsent), oslorpc.ExpectErrors("List", errAbsent))})
	for _, method := range []string{"get", "list"} {
		_, err := oslorpc.Call[any](t.Context(), client(t), method, nil)
		wantKind(t, err, oslorpc.Remote, false)
	}
	if text := log.String(); strings.Contains(text, "method=get") || !strings.Contains(text, "method=list error=broken") {
		t.Errorf("the log is\n%s", text)
	}
}

func ExampleExpected() {
	errNoPort := errors.New("no such port")
	get := oslorpc.Func(func(context.Context, oslorpc.NoArgs) (any, error) { return nil, errNoPort })

	endpoint := oslorpc.Endpoint{Version: "1.0", Methods: map[string]oslorpc.Method{
		// What a caller may well ask for does not belong into the server's log as an error.
		"get_port": oslorpc.Expected(get, errNoPort, oslorpc.ErrorType[*fs.PathError]()),
	}}
	fmt.Println(len(endpoint.Methods))
	// Output: 1
}
