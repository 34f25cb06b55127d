package refusal

import (
	"context"
	"crypto/rand"
	"strings"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// idLength is the length of the id of a failure: 60 bits.
const idLength = 12

// NewID returns an id for a failure that a server hides. The error has it, and so does the line in
// the server's log.
func NewID() string { return strings.ToLower(rand.Text()[:idLength]) }

// Hidden returns the text of an error whose reason a server hides.
func Hidden(what, id string) string {
	return what + "; the log of the server has the reason, as failure " + id
}

// Discreetly is [By] for a server that hides failures: only an [*rpc.Error] of a kind that refuses
// has a text for the sender, and only if it is not wrapped. Log is called with the text of any
// other error, and with the id of it.
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

// refuses reports whether an error of the kind is about the message that an interceptor has.
func refuses(k rpc.Kind) bool {
	switch k {
	case rpc.AccessDenied, rpc.InvalidTarget, rpc.BadArguments, rpc.TooLarge, rpc.Refused, rpc.Timeout:
		return true
	default:
		return false
	}
}
