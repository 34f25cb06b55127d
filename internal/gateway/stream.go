package gateway

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/intake"
)

// newRaw returns a message of unknown type. When it is decoded, it keeps all fields as unknown
// fields, in order. When it is encoded, they are written again.
func newRaw() proto.Message { return &emptypb.Empty{} }

// closeTime is how long the gateway waits, after a client's first message, for the end of what the
// client sends. A client of a unary method ends its side right after its only message. Knowing
// that, the gateway can send the message to another server if the first one refuses it.
const closeTime = 5 * time.Millisecond

// part is one message of a client's stream, or the stream's end.
type part struct {
	message proto.Message
	err     error // io.EOF at the end
}

// Stream implements [intake.Forwarder]. The gateway's program need not know the service of a
// message, and so which side sends more than one message. So both sides may send any number here.
func (g *Gateway) Stream(ctx context.Context, m *intake.Message, stream intake.Stream) (err error) {
	if err := g.enter(); err != nil {
		return err
	}
	defer func() { g.exit(err) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	parts := make(chan part)
	go receive(ctx, stream, parts)
	r := g.request(m, carrier.Call)
	r.Kwargs, r.Typed = "", &carrier.Typed{Path: m.Path(), ClientStreams: true, ServerStreams: true}
	next, err := begin(ctx, r.Typed, parts)
	if err != nil {
		return err
	}
	to, _, err := g.clients.ForwardStream(ctx, r)
	if err != nil {
		return err
	}
	defer to.Close(nil)
	if r.Typed.ClientStreams {
		go send(ctx, to, next, parts)
	}
	return passItems(to, stream)
}

// receive passes the client's messages to parts, until the client's side or ctx ends.
func receive(ctx context.Context, stream intake.Stream, parts chan<- part) {
	for {
		p := part{message: newRaw()}
		p.err = stream.Receive(p.message)
		select {
		case parts <- p:
		case <-ctx.Done():
			return
		}
		if p.err != nil {
			return
		}
	}
}

// begin waits for the client's first part. If that is a message, begin puts it into t and waits up
// to closeTime for the next part. It returns a part that was received and is not in t; nil for
// none. It clears t.ClientStreams if the client sent exactly one message.
func begin(ctx context.Context, t *carrier.Typed, parts <-chan part) (next *part, err error) {
	var first part
	select {
	case first = <-parts:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if first.err != nil {
		return &first, nil // the client sends no message
	}
	t.Message = first.message
	soon := time.NewTimer(closeTime)
	defer soon.Stop()
	select {
	case p := <-parts:
		t.ClientStreams = !errors.Is(p.err, io.EOF)
		return &p, nil
	case <-soon.C:
		return nil, nil
	}
}

// send forwards the client's parts, next first. It ignores errors, since the receiving side gets
// them, too.
func send(ctx context.Context, to carrier.Stream, next *part, parts <-chan part) {
	for {
		var p part
		if next != nil {
			p, next = *next, nil
		} else {
			select {
			case p = <-parts:
			case <-ctx.Done():
				return
			}
		}
		switch {
		case errors.Is(p.err, io.EOF):
			_ = to.CloseSend()
			return
		case p.err != nil:
			to.Close(p.err)
			return
		}
		if to.Send(p.message) != nil {
			return
		}
	}
}

// passItems forwards the server's items, header and trailer to the client.
func passItems(from carrier.Stream, stream intake.Stream) error {
	headed := false
	for {
		item := newRaw()
		err := from.Receive(item)
		if !headed {
			headed = true
			if header, headerErr := from.Header(); headerErr == nil {
				_ = stream.SetHeader(header) // if the client is gone, Send returns the error
			}
		}
		if err != nil {
			stream.SetTrailer(from.Trailer())
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := stream.Send(item); err != nil {
			return err
		}
	}
}
