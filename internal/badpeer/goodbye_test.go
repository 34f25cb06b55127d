package badpeer

import (
	"strings"

	"golang.org/x/net/http2"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// goodbyes are the bad peers that end the connection in the middle of an RPC.
func goodbyes() []kind {
	lost := unknown
	// HTTP/2 proves that the request did not run.
	gone := refused.or(oslorpc.Unreachable)
	return []kind{
		{name: "goes away at once", outcome: gone, proves: true, behavior: behavior{greeted: func(c *conn) { c.goAway(0, http2.ErrCodeNo, "") }}},
		{name: "goes away and closes at once", outcome: gone, proves: true, behavior: behavior{greeted: func(c *conn) {
			c.goAway(0, http2.ErrCodeNo, "")
			c.Close()
		}}},
		{name: "goes away before the request", outcome: gone, proves: true, behavior: behavior{asked: func(c *conn, _ *stream) { c.goAway(0, http2.ErrCodeNo, "") }}},
		{name: "goes away before the request, and closes", outcome: gone, proves: true, behavior: behavior{asked: func(c *conn, _ *stream) {
			c.goAway(0, http2.ErrCodeNo, "")
			c.Close()
		}}},
		{name: "complains about pings", outcome: gone, proves: true, behavior: behavior{asked: func(c *conn, _ *stream) {
			c.goAway(0, http2.ErrCodeEnhanceYourCalm, "too_many_pings")
			c.Close()
		}}},
		{name: "complains about the request at length", outcome: gone, proves: true, behavior: behavior{asked: func(c *conn, _ *stream) {
			c.goAway(0, http2.ErrCodeProtocol, strings.Repeat("x", 16<<10-8))
			c.Close()
		}}},
		{name: "goes away with the request, and closes", outcome: lost, behavior: behavior{asked: func(c *conn, s *stream) {
			c.goAway(s.id, http2.ErrCodeNo, "")
			c.Close()
		}}},
		{name: "goes away with the request, and hangs", outcome: late, unlike: quiet, behavior: behavior{asked: func(c *conn, s *stream) {
			c.goAway(s.id, http2.ErrCodeNo, "")
		}}},
		{name: "goes away with the request, and answers", outcome: fine, behavior: behavior{asked: func(c *conn, s *stream) {
			c.goAway(s.id, http2.ErrCodeNo, "")
			well(c, s)
		}}},
		{name: "goes away, and later raises the last stream", outcome: late, unlike: quiet, behavior: behavior{asked: func(c *conn, s *stream) {
			c.goAway(s.id, http2.ErrCodeNo, "")
			c.goAway(s.id+1000, http2.ErrCodeNo, "")
			c.pause(holdTime)
			c.Close()
		}}},
		{name: "closes when asked", outcome: lost, behavior: behavior{asked: func(c *conn, _ *stream) { c.Close() }}},
		{name: "closes when it is being asked", outcome: lost, behavior: behavior{begun: func(c *conn, _ *stream) { c.Close() }}},
		{name: "resets the connection when asked", outcome: lost, behavior: behavior{asked: func(c *conn, _ *stream) { abort(c.Conn) }}},
		{name: "closes after the headers", outcome: lost, behavior: behavior{asked: func(c *conn, s *stream) {
			c.ok(s)
			c.Close()
		}}},
	}
}

// resets are the bad peers that end a stream with a reset.
func resets() []kind {
	asked := func(code http2.ErrCode) behavior {
		return behavior{asked: func(c *conn, s *stream) { c.reset(s, code) }}
	}
	headed := func(code http2.ErrCode) behavior {
		return behavior{asked: func(c *conn, s *stream) {
			c.ok(s)
			c.reset(s, code)
		}}
	}
	begun := func(code http2.ErrCode) behavior {
		return behavior{begun: func(c *conn, s *stream) { c.reset(s, code) }}
	}
	replied := func(code http2.ErrCode) behavior {
		return behavior{asked: func(c *conn, s *stream) {
			c.ok(s)
			c.message(s, answer(s, done()))
			c.reset(s, code)
		}}
	}
	// A monitored call already has its reply, and a stream has its items.
	after := map[string]outcome{monitored: fine}
	return []kind{
		{name: "refuses the stream", behavior: asked(http2.ErrCodeRefusedStream), outcome: refused, proves: true},
		{name: "refuses the stream before the request", behavior: begun(http2.ErrCodeRefusedStream), outcome: refused, proves: true},
		// HTTP/2 treats this as a proof, and gRPC does too: it sends the request once more.
		{name: "refuses the stream after headers", behavior: headed(http2.ErrCodeRefusedStream), outcome: unknown.or(oslorpc.Refused), proves: true, headed: true},
		{name: "refuses the stream after the reply", behavior: replied(http2.ErrCodeRefusedStream), outcome: unknown, unlike: after},
		{name: "cancels", behavior: asked(http2.ErrCodeCancel), outcome: unknown},
		{name: "cancels before the request", behavior: begun(http2.ErrCodeCancel), outcome: unknown},
		{name: "cancels after headers", behavior: headed(http2.ErrCodeCancel), outcome: unknown},
		{name: "cancels after the reply", behavior: replied(http2.ErrCodeCancel), outcome: unknown, unlike: after},
		{name: "fails", behavior: asked(http2.ErrCodeInternal), outcome: unknown},
		{name: "fails after headers", behavior: headed(http2.ErrCodeInternal), outcome: unknown},
		{name: "resets with ENHANCE_YOUR_CALM", behavior: asked(http2.ErrCodeEnhanceYourCalm), outcome: unknown},
		{name: "resets without an error", behavior: asked(http2.ErrCodeNo), outcome: unknown},
		{name: "wants HTTP/1.1", behavior: asked(http2.ErrCodeHTTP11Required), outcome: unknown},
		{name: "resets with an unknown code", behavior: asked(0xdead), outcome: unknown},
	}
}

// well answers like a correct server.
func well(c *conn, s *stream) {
	c.ok(s)
	c.message(s, answer(s, done()))
	c.end(s, "0")
}
