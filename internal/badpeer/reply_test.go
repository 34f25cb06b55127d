package badpeer

import (
	"encoding/binary"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/protobuf/proto"

	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// holdTime is longer than any operation.
const holdTime = 10 * time.Second

// after returns a behavior that runs do once the response has begun.
func after(do func(*conn, *stream)) behavior {
	return behavior{asked: func(c *conn, s *stream) {
		c.ok(s)
		do(c, s)
	}}
}

// reply returns the bytes of a correct reply.
func reply(s *stream) []byte {
	b, err := proto.Marshal(answer(s, done()))
	if err != nil {
		panic(err)
	}
	return framed(0, b)
}

// partial are the bad peers whose response is not what gRPC expects.
func partial() []kind {
	data := func(b []byte, then func(*conn, *stream)) behavior {
		return after(func(c *conn, s *stream) {
			c.data(s, false, b)
			if then != nil {
				then(c, s)
			}
		})
	}
	ended := func(c *conn, s *stream) { c.end(s, "0") }
	streamed := map[string]outcome{monitored: fine, multicall: late}
	return []kind{
		{name: "sends headers and no more", outcome: late, unlike: quiet, behavior: after(func(*conn, *stream) {})},
		{name: "sends half a message", outcome: late, unlike: quiet, behavior: data([]byte{0, 0, 0, 1, 0, 1, 2}, nil)},
		{name: "ends within a message", outcome: unknown, behavior: data([]byte{0, 0, 0, 1, 0, 1, 2}, ended)},
		{name: "announces 4 GiB", outcome: ran(oslorpc.TooLarge), behavior: data(binary.BigEndian.AppendUint32([]byte{0}, 1<<32-1), nil)},
		{name: "announces 4 GiB and ends", outcome: ran(oslorpc.TooLarge), behavior: data(binary.BigEndian.AppendUint32([]byte{0}, 1<<32-1), ended)},
		{name: "replies with too much", greedy: true, outcome: ran(oslorpc.TooLarge), behavior: after(func(c *conn, s *stream) {
			c.data(s, false, binary.BigEndian.AppendUint32([]byte{0}, 64<<20))
			for chunk, i := make([]byte, 64<<10), 0; i < 1<<10 && c.data(s, false, chunk); i++ {
			}
			c.end(s, "0")
		})},
		{name: "compresses without saying how", outcome: unknown, behavior: data(framed(1, []byte{1, 2, 3}), ended)},
		{name: "compresses in an unknown way", outcome: unknown, behavior: behavior{asked: func(c *conn, s *stream) {
			c.ok(s, "grpc-encoding", "zstd")
			c.data(s, false, framed(1, []byte{1, 2, 3}))
			c.end(s, "0")
		}}},
		{name: "sends messages with an unknown flag", outcome: unknown, behavior: data(framed(0x42, []byte{1, 2, 3}), ended)},
		{name: "sends bytes that are not protobuf", outcome: unknown, behavior: data(framed(0, []byte{0xff, 0xff, 0xff}), ended)},
		{name: "replies twice", outcome: unknown, unlike: map[string]outcome{monitored: fine, multicall: fine, typedStream: fine}, behavior: after(func(c *conn, s *stream) {
			c.data(s, false, append(reply(s), reply(s)...))
			c.end(s, "0")
		})},
		{name: "ends without a reply", outcome: unknown, unlike: map[string]outcome{multicall: fine, typedStream: fine}, behavior: after(ended)},
		{name: "ends with no status", outcome: unknown, unlike: map[string]outcome{monitored: fine}, behavior: after(func(c *conn, s *stream) { c.data(s, true, reply(s)) })},
		{name: "replies, and fails", outcome: unknown, unlike: map[string]outcome{monitored: fine}, behavior: after(func(c *conn, s *stream) {
			c.data(s, false, reply(s))
			c.end(s, "13", "grpc-message", "made up")
		})},
		{name: "replies, and stays", outcome: late, unlike: streamed, behavior: after(func(c *conn, s *stream) { c.data(s, false, reply(s)) })},
		{name: "replies a byte at a time", outcome: late, unlike: quiet, behavior: after(func(c *conn, s *stream) {
			for _, b := range append(framed(0, make([]byte, 1<<10)), reply(s)...) {
				if !c.data(s, false, []byte{b}) || !c.pause(100*time.Millisecond) {
					return
				}
			}
		})},
		{name: "replies before the headers", outcome: late, unlike: map[string]outcome{monitored: {fine: true, kinds: []oslorpc.Kind{oslorpc.MonitorTimeout}}}, behavior: behavior{asked: func(c *conn, s *stream) { c.data(s, false, reply(s)) }}},
		{name: "replies on a stream that was not opened", outcome: late, unlike: quiet, behavior: behavior{asked: func(c *conn, s *stream) {
			other := &stream{id: s.id + 100, path: s.path}
			well(c, other)
		}}},
		{name: "sends more than there is room for", outcome: unknown, behavior: after(func(c *conn, s *stream) {
			c.bytes(framed(0, nil)) // these bytes are not an HTTP/2 frame
			chunk := make([]byte, 16<<10)
			for range 64 {
				c.frame(func() error { return c.framer.WriteData(s.id, false, chunk) })
			}
		})},
		{name: "packs headers wrongly", outcome: unknown, behavior: behavior{asked: func(c *conn, s *stream) {
			c.frame(func() error {
				return c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: s.id, BlockFragment: []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, EndHeaders: true})
			})
		}}},
		{name: "has headers without end", greedy: true, outcome: unknown, behavior: behavior{asked: headersWithoutEnd}},
		{name: "has huge headers", greedy: true, outcome: unknown, behavior: behavior{asked: func(c *conn, s *stream) {
			c.headers(s, false, ":status", "200", "content-type", "application/grpc", "x-long", strings.Repeat("X", 20<<20))
		}}},
		{name: "has provisional headers without end", outcome: late, unlike: quiet, behavior: behavior{asked: func(c *conn, s *stream) {
			forever(func() bool { return c.pause(time.Millisecond) && c.headers(s, false, ":status", "103", "link", "x") })
		}}},
		{name: "has two headers", outcome: unknown, unlike: map[string]outcome{}, behavior: after(func(c *conn, s *stream) { c.ok(s) })},
	}
}

func headersWithoutEnd(c *conn, s *stream) {
	c.frame(func() error {
		field := append([]byte{0x00, 1, 'x', 0x7f, 0x80, 0x7e}, make([]byte, 127+0x3f00)...) // a literal of 16 KiB
		part := field[:16<<10-1]
		err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: s.id, BlockFragment: []byte{0x88}})
		for err == nil {
			err = c.framer.WriteContinuation(s.id, false, part)
		}
		return err
	})
}

// fields are the bad peers whose reply has invalid fields. Replies to casts and typed messages have
// no such fields.
func fields() []kind {
	replies := func(p *pb.Payload) behavior {
		return after(func(c *conn, s *stream) {
			c.message(s, answer(s, p))
			c.end(s, "0")
		})
	}
	future := &pb.Payload{}
	future.ProtoReflect().SetUnknown([]byte{0x7a, 1, 'x'}) // field 15
	without := func(o outcome) map[string]outcome {
		return map[string]outcome{cast: o, fanout: o, typedCall: o, typedStream: o}
	}
	bad := func(name, json string) kind {
		return kind{name: name, behavior: replies(text(json)), outcome: ran(oslorpc.BadResult), unlike: without(fine)}
	}
	all := []kind{
		{name: "has no result", behavior: replies(nil), outcome: fine},
		{name: "has an empty result", behavior: replies(&pb.Payload{}), outcome: fine},
		{name: "has a result in a future encoding", behavior: replies(future), outcome: ran(oslorpc.BadResult), unlike: without(fine)},
		bad("has a result that is not JSON", "done"),
		bad("has half a JSON text", `{"a": [1, 2`),
		bad("has two JSON texts", `1 2`),
		bad("has a name twice", `{"a": 1, "a": 2}`),
		bad("has another type", `{"a": 1}`),
		bad("has a huge number", `1e999999999`),
		{name: "has not a number", behavior: replies(notANumber()), outcome: ran(oslorpc.BadResult), unlike: without(fine)},
		{name: "nests without end", greedy: true, behavior: replies(text(strings.Repeat("[", 8<<20))), outcome: ran(oslorpc.BadResult), unlike: without(fine)},
		{name: "nests names without end", greedy: true, behavior: replies(text(strings.Repeat(`{"a":`, 2<<20))), outcome: ran(oslorpc.BadResult), unlike: without(fine)},
		{name: "has text that is not UTF-8", behavior: after(func(c *conn, s *stream) {
			b := reply(s)
			c.data(s, false, []byte(strings.ReplaceAll(string(b), "done", "d\xff\xfee")))
			c.end(s, "0")
		}), outcome: unknown.or(oslorpc.BadResult), unlike: without(fine)},
	}
	return all
}
