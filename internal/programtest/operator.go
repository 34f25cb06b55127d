package programtest

import (
	"testing"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	_ "github.com/oslorpc/oslorpc/pkg/registry/consul" // for consul:// URLs
)

// Operator sends messages to the programs of a fleet from within the test.
type Operator struct {
	*oslorpc.Transport

	tb testing.TB
}

// NewOperator returns an operator that is closed at the end of the test.
func NewOperator(tb testing.TB, url string, options ...oslorpc.TransportOption) Operator {
	tb.Helper()
	transport, err := oslorpc.Open(url, options...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = transport.Close() })
	return Operator{transport, tb}
}

// Ask calls a method, with the version of the target, and returns its result.
func Ask[R any](o Operator, target oslorpc.Target, method string, args map[string]any) R {
	o.tb.Helper()
	result, err := call[R](o, target, method, args)
	if err != nil {
		o.tb.Fatalf("%s: %v", method, err)
	}
	return result
}

// Do calls a method and ignores its result.
func (o Operator) Do(target oslorpc.Target, method string, args map[string]any) {
	o.tb.Helper()
	Ask[any](o, target, method, args)
}

// Refused calls a method that must fail, and returns its error.
func (o Operator) Refused(target oslorpc.Target, method string, args map[string]any) error {
	o.tb.Helper()
	result, err := call[any](o, target, method, args)
	if err == nil {
		o.tb.Fatalf("%s succeeded and returned %v, want an error", method, result)
	}
	return err
}

func call[R any](o Operator, target oslorpc.Target, method string, args map[string]any) (R, error) {
	return oslorpc.Call[R](o.tb.Context(), o.Client(target, oslorpc.WithTimeout(patience)), method, args)
}
