package intake

import (
	"context"
	"fmt"
	"sync"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// The intake enforces the size limit of the process. Carriers allow somewhat larger messages, so
// that the intake's error can say what is too large.

// fits returns an error if the content of a message is too large.
func (i *Intake) fits(m *Message) error {
	what, n := "request", len(m.Kwargs)+len(m.Context)
	if m.typed != nil {
		what, n = "request context", len(m.Context)
		if m.Typed.Size > i.config.MaxSize {
			what, n = "request", m.Typed.Size
		}
	}
	if n <= i.config.MaxSize {
		return nil
	}
	return &rpc.Error{Kind: rpc.TooLarge, NotStarted: true, Message: fmt.Sprintf(
		"the %s has %d bytes, and this server accepts at most %d: send less at a time, or raise the server's limit", what, n, i.config.MaxSize)}
}

// admit returns an error if the arguments must not be decoded, because of their depth or their
// decoded size. It waits until there is memory for large arguments.
func (m *Message) admit(ctx context.Context) (err error) {
	a, ok := m.Origin.(dispatch.Accountant)
	if !ok {
		return nil
	}
	m.Ended, err = a.Admit(ctx, m.Kwargs, m.Delivery == rpc.DeliveryCast)
	return err
}

// sendable returns an error if a JSON result cannot be sent. The method may have returned text that
// is not UTF-8.
func (i *Intake) sendable(result string) error {
	if len(result) > i.config.MaxSize {
		return i.ResultTooLarge(len(result), "")
	}
	if !utf8.ValidString(result) {
		return &rpc.Error{Kind: rpc.BadResult, Message: "the method ran, and its result is not UTF-8, which no message can hold"}
	}
	return nil
}

// answerMessage is Answer for a reply of a typed service: it waits until the sender may have that
// many more bytes of answers outstanding.
func (m *Message) answerMessage(reply any) error {
	if message, ok := reply.(proto.Message); ok {
		return m.Answer(proto.Size(message))
	}
	return nil
}

// MaxSize returns the maximum size of a result, in bytes.
func (i *Intake) MaxSize() int { return i.config.MaxSize }

// ResultTooLarge returns the error for a result of n bytes that is too large. Form names its
// encoding, such as " as a protobuf value"; empty for JSON.
func (i *Intake) ResultTooLarge(n int, form string) error {
	return &rpc.Error{Kind: rpc.TooLarge, Message: fmt.Sprintf(
		"the method ran, and its result has %d bytes%s, and this server sends at most %d: return less at a time, or raise the server's limit",
		n, form, i.config.MaxSize)}
}

// sendableMessage returns an error if a protobuf result, or an item of a stream, cannot be sent. A
// carrier would notice that only later, when its error cannot say any more that the method ran.
func (i *Intake) sendableMessage(result any) error {
	message, ok := result.(proto.Message)
	if !ok {
		return nil // another codec encodes it
	}
	if size := proto.Size(message); size > i.config.MaxSize {
		return i.ResultTooLarge(size, "")
	}
	if err := encodes(message); err != nil {
		return &rpc.Error{Kind: rpc.BadResult, Cause: err, Message: "the method ran, and its result cannot be encoded: " + err.Error()}
	}
	return nil
}

// scratch has buffers for encodes. Buffers of more than maxScratch bytes are not kept.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

const maxScratch = 64 << 10

// encodes returns an error if a message cannot be encoded: protobuf refuses strings that are not
// UTF-8. The caller must just have computed the message's size, which encodes uses.
func encodes(message proto.Message) error {
	buffer := scratch.Get().(*[]byte)
	encoded, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend((*buffer)[:0], message)
	if cap(encoded) <= maxScratch {
		*buffer = encoded[:0]
		scratch.Put(buffer)
	}
	return err
}
