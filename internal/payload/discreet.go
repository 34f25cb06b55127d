package payload

import (
	"errors"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// WithoutTypes returns an error about arguments without the names of Go types. Ok is false if the
// cause is an error of other code, such as a serializer, because its text may contain anything.
func WithoutTypes(e *rpc.Error) (discreet *rpc.Error, ok bool) {
	if e.Cause == nil {
		return e, true
	}
	if _, ok := errors.AsType[*jsontext.SyntacticError](e.Cause); ok {
		return e, true
	}
	semantic, ok := errors.AsType[*json.SemanticError](e.Cause)
	if !ok {
		return nil, false
	}
	if semantic.GoType == nil {
		return e, true
	}
	copied := *e
	name := semantic.GoType.String()
	copied.Message = strings.ReplaceAll(copied.Message, " for the Go type "+shorten(name), "")
	copied.Message = strings.ReplaceAll(copied.Message, name, "its type")
	return &copied, true
}
