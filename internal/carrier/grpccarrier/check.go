package grpccarrier

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/header"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Check implements [carrier.Carrier].
func (c *Carrier) Check(r *carrier.Request) error {
	if err := c.fits(requestSize(r)); err != nil {
		return err
	}
	if err := c.sendsOneToken(r.Metadata); err != nil {
		return err
	}
	if err := c.fitsHeaders(headerSize(r)); err != nil {
		return err
	}
	return nil
}

// sendsOneToken returns an error if the program sends a token in addition to the transport's.
// Servers would refuse both.
func (c *Carrier) sendsOneToken(md rpc.Metadata) error {
	if c.config.Peers.Token == nil {
		return nil
	}
	for name := range md {
		if strings.EqualFold(name, header.Authorization) {
			return &rpc.Error{Kind: rpc.Invalid, NotStarted: true, Message: "the metadata has authorization, which this transport sends itself: " +
				"leave it out, give it another name, or do without trust.Config.TokenFile"}
		}
	}
	return nil
}

// fits returns an error if a request of n bytes is too large.
func (c *Carrier) fits(n int) *rpc.Error {
	if n <= c.config.MaxSize {
		return nil
	}
	return &rpc.Error{Kind: rpc.TooLarge, NotStarted: true, Message: fmt.Sprintf(
		"the request has %d bytes, and the limit is %d: send less at a time, or raise MessageSize with WithLimits", n, c.config.MaxSize)}
}

// fitsHeaders returns an error if n bytes of headers are too many.
func (c *Carrier) fitsHeaders(n int) *rpc.Error {
	limit := c.config.MaxHeader - headerShare
	if n <= limit {
		return nil
	}
	return &rpc.Error{Kind: rpc.TooLarge, NotStarted: true, Message: fmt.Sprintf(
		"the metadata and the request context take %d bytes of headers, and the limit is %d: send less of them, or raise HeaderSize with WithLimits, "+
			"if all servers and proxies take as much", n, limit)}
}

// headerSize returns the size of a request's content in the header list: its metadata and, for a
// typed request, its request context and order key.
func headerSize(r *carrier.Request) int {
	n := header.Size(r.Metadata)
	if r.Typed == nil {
		return n
	}
	if r.Context != "" {
		n += header.FieldSize(header.Context, r.Context)
	}
	if r.OrderKey != "" {
		n += header.FieldSize(header.OrderKey, header.Escape(r.OrderKey))
	}
	return n
}

// requestSize returns how many bytes the content of a request has.
func requestSize(r *carrier.Request) int {
	switch {
	case r.Typed == nil:
		return len(r.Kwargs) + len(r.Context)
	case r.Typed.Message == nil:
		return 0
	default:
		return proto.Size(r.Typed.Message)
	}
}
