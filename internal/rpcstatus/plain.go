package rpcstatus

import (
	"regexp"
	"strconv"
	"strings"
)

// Plain replaces a text of gRPC about a broken connection or stream by plain words. It returns
// other texts, such as a server's own, unchanged.
func Plain(text string) string {
	for {
		inner := unwrapped(text)
		if inner == text {
			break
		}
		text = inner
	}
	for _, p := range phrases {
		if m := p.pattern.FindStringSubmatch(text); m != nil {
			return p.words + strings.Join(m[1:], "")
		}
	}
	return text
}

var (
	quoted  = regexp.MustCompile(`^connection error: desc = (".*")$`)
	closing = regexp.MustCompile(`^closing transport due to: (.*), received prior goaway: code: NO_ERROR\b.*$`)
)

// unwrapped removes one layer of the prefixes and quotes that gRPC puts around a text.
func unwrapped(text string) string {
	text = strings.TrimPrefix(text, "transport: ")
	if m := closing.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	if m := quoted.FindStringSubmatch(text); m != nil {
		if inner, err := strconv.Unquote(m[1]); err == nil {
			return inner
		}
	}
	return text
}

// phrases maps gRPC's texts to plain words. The text that a pattern captures is appended to the
// words.
var phrases = []struct {
	pattern *regexp.Regexp
	words   string
}{
	{regexp.MustCompile(`^error reading from server: (?:unexpected )?EOF$`), "the server closed the connection, or died"},
	{regexp.MustCompile(`^error reading from server: .*connection reset by peer$`), "the server, or something on the way to it, reset the connection"},
	{regexp.MustCompile(`^error reading from server: (?:read \S+ \S+: )?(?:read: )?(.*)$`), "the connection cannot be read: "},
	{regexp.MustCompile(`^Error while dialing: (?:dial \w+ )?(.*)$`), "cannot connect: "},
	{regexp.MustCompile(`^error reading server preface: .*$`), "it closed the connection before it spoke HTTP/2"},
	{regexp.MustCompile(`^authentication handshake failed: (.*)$`), "the TLS handshake failed: "},
	{regexp.MustCompile(`^keepalive ping failed to receive ACK within timeout$`), "the server answers nothing; it may hang, or the network does not reach it"},
	{regexp.MustCompile(`^closing connection since the server is not reading: .*$`), "the server does not read what it is sent; it may hang"},
	{regexp.MustCompile(`^transport is closing$`), "the connection was being closed"},
	{regexp.MustCompile(`^stream terminated by RST_STREAM with error code: (\w+)$`), "the server, or a proxy before it, reset the stream with the HTTP/2 code "},
	{regexp.MustCompile(`^unexpected HTTP status code received from server: (\d+(?: \([\w ]+\))?)`), "something that is not gRPC, such as a proxy, answered with the HTTP status "},
	{regexp.MustCompile(`^closing transport due to: .*, received prior goaway: code: (\w+)`), "the server ended the connection with the HTTP/2 code "},
}
