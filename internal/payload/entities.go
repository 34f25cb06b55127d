package payload

import (
	"maps"
	"slices"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// MapArgs applies f to each keyword argument, in the order of the names, and returns the resulting
// JSON object. Its error is of kind rpc.BadArguments and names the argument.
func MapArgs(s string, f func(any) (any, error)) (string, error) {
	var args map[string]any
	if err := UnmarshalArgs(s, &args); err != nil {
		return "", err
	}
	for _, name := range slices.Sorted(maps.Keys(args)) {
		value, err := f(args[name])
		if err != nil {
			return "", unmapped(err, rpc.BadArguments, pointer(name))
		}
		args[name] = value
	}
	return MarshalArgs(args)
}

// MapResult applies f to a result and returns the resulting JSON text. Its error is of kind
// rpc.BadResult.
func MapResult(s string, f func(any) (any, error)) (string, error) {
	var result any
	if err := Unmarshal(s, &result, rpc.BadResult); err != nil {
		return "", err
	}
	result, err := f(result)
	if err != nil {
		return "", unmapped(err, rpc.BadResult, "")
	}
	return Marshal(result, rpc.BadResult)
}

// unmapped returns the error for a value on which a serializer failed with err. It makes a new
// rpc.Error even if err is one, since that one is about another message.
func unmapped(err error, kind rpc.Kind, path string) error {
	message := "the serializer failed: " + err.Error()
	if path != "" {
		message = "at " + shorten(path) + ": " + message
	}
	return &rpc.Error{Kind: kind, Path: path, Message: message, Cause: err}
}
