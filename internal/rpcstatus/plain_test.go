package rpcstatus_test

import (
	"testing"

	"github.com/oslorpc/oslorpc/internal/rpcstatus"
)

func TestPlain(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`connection error: desc = "transport: Error while dialing: no process is attached as x: connection refused"`: "cannot connect: no process is attached as x: connection refused",
		"": "", "the disk is full": "the disk is full",
		"error reading from server: EOF":                            "the server closed the connection, or died",
		`connection error: desc = "error reading from server: EOF"`: "the server closed the connection, or died",
		`closing transport due to: connection error: desc = "error reading from server: EOF", received prior goaway: code: NO_ERROR, debug data: "graceful_stop"`:           "the server closed the connection, or died",
		`closing transport due to: connection error: desc = "error reading from server: EOF", received prior goaway: code: ENHANCE_YOUR_CALM, debug data: "too_many_pings"`: "the server ended the connection with the HTTP/2 code ENHANCE_YOUR_CALM",
		"error reading from server: read tcp 127.0.0.1:1->127.0.0.1:2: read: connection reset by peer":                                                                      "the server, or something on the way to it, reset the connection",
		"error reading from server: read tcp 127.0.0.1:1->127.0.0.1:2: i/o timeout":                                                                                         "the connection cannot be read: i/o timeout",
		"error reading from server: read unix @->/run/x.sock: use of closed network connection":                                                                             "the connection cannot be read: use of closed network connection",
		"keepalive ping failed to receive ACK within timeout":                                                                                                               "the server answers nothing; it may hang, or the network does not reach it",
		"stream terminated by RST_STREAM with error code: INTERNAL_ERROR":                                                                                                   "the server, or a proxy before it, reset the stream with the HTTP/2 code INTERNAL_ERROR",
		`unexpected HTTP status code received from server: 502 (Bad Gateway); transport: received unexpected content-type "text/html"`:                                      "something that is not gRPC, such as a proxy, answered with the HTTP status 502 (Bad Gateway)",
		`transport: Error while dialing: dial tcp 127.0.0.1:1: connect: connection refused`:                                                                                 "cannot connect: 127.0.0.1:1: connect: connection refused",
	} {
		if got := rpcstatus.Plain(text); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, want)
		}
	}
}
