package refusal

import (
	"context"
	"crypto/rand"
	"strings"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// idLength is the length of an id of a failure: 60 bits.
const idLength = 12

// NewID returns a random id for a hidden failure. The error that the sender gets and the line in
// the server's log both contain it.
func NewID() string { return strings.ToLower(rand.Text()[:idLength]) }

// Hidden returns the text of an error whose reason is hidden.
func Hidden(what, id string) string {
	return what + "; the log of the server has the reason, as failure " + id
}

// Discreetly is [By] for a server that hides failures. The sender gets the text of err only if err
// is itself an [*rpc.Error], not a wrapper, and of a kind for refusals. For any other error, the
// sender gets an id, and Discreetly calls log with the id and the text.
func Discreetly(ctx context.Context, err error, log func(id, text string)) *rpc.Error {
	refused := By(ctx, err)
	switch e, ok := err.(*rpc.Error); { //nolint:errorlint // A wrapping error has a text of its own.
	case refused.Kind == rpc.Timeout, refused.Kind == rpc.Canceled: // these are about ctx, with fixed texts
		return refused
	case ok && e != nil && e.Message != "" && refuses(e.Kind):
		return refused
	}
	id := NewID()
	log(id, refused.Message)
	refused.Message, refused.Path = Hidden("an interceptor of the server refused this", id), ""
	return refused
}

// refuses reports whether an interceptor may use an error of this kind to refuse the message that
// it handles.
func refuses(k rpc.Kind) bool {
	switch k {
	case rpc.AccessDenied, rpc.InvalidTarget, rpc.BadArguments, rpc.TooLarge, rpc.Refused, rpc.Timeout:
		return true
	default:
		return false
	}
}
