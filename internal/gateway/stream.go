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

// closeTime is how long the gateway waits, after a client's first message, for the end of the
// client's side. A client that sends only one message ends its side together with it. Then another
// server can get the message if one refuses it.
const closeTime = 5 * time.Millisecond

// part is what a client sent.
type part struct {
	message proto.Message
	err     error // io.EOF at the end
}

// Stream implements [intake.Forwarder]. If the program does not know the service of a message, it
// does not know which sides stream. So both sides may send any number of messages here.
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

// receive receives what the client sends, until the client's side or ctx ends.
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

// begin takes the first message of the client, if the client sends one at once, and the part that
// follows soon; nil for none.
func begin(ctx context.Context, t *carrier.Typed, parts <-chan part) (next *part, err error) {
	var first part
	select {
	case first = <-parts:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if first.err != nil {
		return &first, nil // it sends none
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

// send forwards what the client sends after the beginning. Errors show when items are received.
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

// passItems forwards what the server sends, with its metadata.
func passItems(from carrier.Stream, stream intake.Stream) error {
	headed := false
	for {
		item := newRaw()
		err := from.Receive(item)
		if !headed {
			headed = true
			if header, headerErr := from.Header(); headerErr == nil {
				_ = stream.SetHeader(header) // it fails if the client is gone, which sending tells
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
