package badpeer

import (
	"strings"
	"time"

	"golang.org/x/net/http2"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// greetings are the bad peers whose HTTP/2 is wrong before any RPC is answered.
func greetings() []kind {
	set := func(id http2.SettingID, value uint32) []http2.Setting { return []http2.Setting{{ID: id, Val: value}} }
	raw := func(frame string) behavior {
		return behavior{greeted: func(c *conn) { forever(func() bool { return c.pause(time.Millisecond) && c.bytes([]byte(frame)) }) }}
	}
	once := func(frame string) behavior { return behavior{greeted: func(c *conn) { c.bytes([]byte(frame)) }} }
	full := safely(oslorpc.Refused)
	lost := unsafely(oslorpc.OutcomeUnknown).or(oslorpc.Unreachable) // before the message is sent, or after
	return []kind{
		{name: "greets, and answers nothing", behavior: behavior{}, outcome: late, unlike: quiet},
		{name: "greets, and acknowledges nothing", behavior: behavior{rude: true, deaf: true}, outcome: late, unlike: quiet},
		{name: "allows no stream", behavior: behavior{settings: set(http2.SettingMaxConcurrentStreams, 0)}, outcome: full},
		{name: "allows one stream, and hangs", behavior: behavior{settings: set(http2.SettingMaxConcurrentStreams, 1)}, outcome: late, unlike: quiet},
		{name: "allows no stream after all", outcome: full.or(oslorpc.Timeout), behavior: behavior{greeted: func(c *conn) {
			c.frame(func() error { return c.framer.WriteSettings(set(http2.SettingMaxConcurrentStreams, 0)...) })
		}}},
		{name: "gives no room for a request", large: true, outcome: late, unlike: quiet, behavior: behavior{stingy: true}},
		{name: "gives no room at all", outcome: late, unlike: quiet, behavior: behavior{settings: set(http2.SettingInitialWindowSize, 0)}},
		{name: "allows no headers", outcome: safely(oslorpc.TooLarge), behavior: behavior{settings: set(http2.SettingMaxHeaderListSize, 1)}},
		{name: "has a window that is too large", outcome: unreachable, behavior: behavior{settings: set(http2.SettingInitialWindowSize, 1<<31)}},
		{name: "has frames that are too small", outcome: late, unlike: quiet, behavior: behavior{settings: set(http2.SettingMaxFrameSize, 1)}},
		{name: "has settings without end", outcome: late, unlike: quiet, behavior: behavior{greeted: func(c *conn) {
			forever(func() bool {
				return c.pause(time.Millisecond) && c.frame(func() error { return c.framer.WriteSettings(set(http2.SettingMaxConcurrentStreams, 100)...) })
			})
		}}},
		{name: "pings without end", outcome: late, unlike: quiet, behavior: behavior{greeted: func(c *conn) {
			forever(func() bool {
				return c.pause(time.Millisecond) && c.frame(func() error { return c.framer.WritePing(false, [8]byte{1}) })
			})
		}}},
		{name: "sends frames of an unknown type without end", outcome: late, unlike: quiet, behavior: raw("\x00\x00\x04\xfa\x00\x00\x00\x00\x00oops")},
		{name: "sends a frame that is too large", outcome: lost, behavior: once("\xff\xff\xff\x00\x00\x00\x00\x00\x01")},
		{name: "widens the window too far", outcome: lost.or(oslorpc.Timeout), unlike: quiet, behavior: raw("\x00\x00\x04\x08\x00\x00\x00\x00\x00\x7f\xff\xff\xff")},
		{name: "pushes", outcome: lost.or(oslorpc.Timeout), unlike: quiet, behavior: raw("\x00\x00\x05\x05\x04\x00\x00\x00\x01\x00\x00\x00\x02\x88")},
		{name: "continues headers that it did not begin", outcome: lost, behavior: once("\x00\x00\x01\x09\x04\x00\x00\x00\x01\x88")},
		{name: "sends a page after its settings", outcome: lost, behavior: once("HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("x", 1<<10))},
	}
}
