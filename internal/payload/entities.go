package payload

import (
	"maps"
	"slices"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// MapArgs returns keyword arguments, the text of a JSON object, with what f makes of each value, in
// the order of their names. Its error is of kind rpc.BadArguments and names the argument.
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

// MapResult returns a result, JSON text, as f makes it. Its error is of kind rpc.BadResult.
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

// unmapped is the error for a value that its function failed on. The function's error may be one of
// ours, about another message.
func unmapped(err error, kind rpc.Kind, path string) error {
	message := "the serializer failed: " + err.Error()
	if path != "" {
		message = "at " + shorten(path) + ": " + message
	}
	return &rpc.Error{Kind: kind, Path: path, Message: message, Cause: err}
}
