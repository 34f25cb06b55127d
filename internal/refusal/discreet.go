package refusal

import (
	"context"
	"crypto/rand"
	"strings"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// idLength is the length of an id of a failure: 60 bits.
const idLength = 12

// NewID returns an id for a hidden failure. The error and the line in the server's log both have
// it.
func NewID() string { return strings.ToLower(rand.Text()[:idLength]) }

// Hidden returns the text of an error whose reason is hidden.
func Hidden(what, id string) string {
	return what + "; the log of the server has the reason, as failure " + id
}

// Discreetly is [By] for a server that hides failures. The sender gets the text only of an
// [*rpc.Error] of a kind for refusals that is not wrapped. For any other error, Discreetly calls
// log with the text and the id.
func Discreetly(ctx context.Context, err error, log func(id, text string)) *rpc.Error {
	refused := By(ctx, err)
	switch e, ok := err.(*rpc.Error); { //nolint:errorlint // A wrapping error has a text of its own.
	case refused.Kind == rpc.Timeout, refused.Kind == rpc.Canceled: // of the context
		return refused
	case ok && e != nil && e.Message != "" && refuses(e.Kind):
		return refused
	}
	id := NewID()
	log(id, refused.Message)
	refused.Message, refused.Path = Hidden("an interceptor of the server refused this", id), ""
	return refused
}

// refuses reports whether an error of this kind can be about the message that an interceptor
// handles.
func refuses(k rpc.Kind) bool {
	switch k {
	case rpc.AccessDenied, rpc.InvalidTarget, rpc.BadArguments, rpc.TooLarge, rpc.Refused, rpc.Timeout:
		return true
	default:
		return false
	}
}
