package rpc

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// DefaultExchange is the exchange of a target that names none. It is the default of
// control_exchange in oslo.messaging.
const DefaultExchange = "openstack"

// maxName bounds a name, in bytes, so that every registry can hold it. Consul allows 512 bytes in a
// metadata value.
const maxName = 255

// Target names a receiver. It has three roles, as in oslo.messaging: a client sends to a target, a
// server listens at a target, and an endpoint has the namespace and version of a target.
//
// In every field the zero value means "not given". A Target is a plain value: comparable, usable as
// a map key, and safe to copy.
type Target struct {
	// Exchange is the scope within which topics live. Not given: the transport's default exchange.
	Exchange string
	// Topic is the name of the service. Clients and servers must have one.
	Topic string
	// Namespace is the interface, if a server offers several. Not given: the default namespace.
	Namespace string
	// Version is the lowest version of the interface that can serve a message, as "major.minor" or
	// "major.minor.revision". Not given: 1.0.
	Version string
	// Server is the name of the server. Not given: any server on the topic. Several processes may
	// share a name.
	Server string
	// Fanout means every server on the topic.
	Fanout bool
}

// String returns the text that oslo.messaging prints: the given fields, in a fixed order. It quotes
// a name that Validate refuses, so that the name cannot be mistaken for other text in a log.
func (t Target) String() string {
	var b strings.Builder
	b.WriteString("<Target ")
	sep := ""
	for _, f := range t.fields() {
		if f.value == "" {
			continue
		}
		b.WriteString(sep + f.name + "=" + plain(f.value))
		sep = ", "
	}
	if t.Fanout {
		b.WriteString(sep + "fanout=True")
	}
	b.WriteString(">")
	return b.String()
}

// words returns the given fields for an error: "topic volumes, server node2".
func (t Target) words() string {
	var list []string
	fields := t.fields()
	for _, i := range [...]int{1, 4, 0, 2, 3} { // topic and server first
		if f := fields[i]; f.value != "" {
			list = append(list, f.name+" "+word(f.value))
		}
	}
	if t.Fanout {
		list = append(list, "all servers")
	}
	return strings.Join(list, ", ")
}

type field struct{ name, value string }

func (t Target) fields() [5]field {
	return [5]field{
		{"exchange", t.Exchange},
		{"topic", t.Topic},
		{"namespace", t.Namespace},
		{"version", t.Version},
		{"server", t.Server},
	}
}

// Validate returns an error for the first field that no target may have: a name that is too long,
// is not UTF-8 or has control characters, or a malformed version. A target without a topic is
// valid; [Target.ValidateClient] and [Target.ValidateServer] require one. The error is an [Error]
// of kind [InvalidTarget].
func (t Target) Validate() error {
	for _, f := range t.fields() {
		if f.name == "version" {
			continue
		}
		if reason := badName(f.value); reason != "" {
			return t.invalid("the %s %s %s", f.name, quote(f.value), reason)
		}
	}
	if t.Version == "" {
		return nil
	}
	if _, err := ParseVersion(t.Version); err != nil {
		return t.invalid("%v", err)
	}
	return nil
}

// ValidateClient is Validate for a target that a client sends to: it needs a topic.
func (t Target) ValidateClient() error {
	if t.Topic == "" {
		return t.invalid("a topic is required to send: set Target.Topic")
	}
	return t.Validate()
}

// ValidateServer is Validate for a target that a server listens as: it needs a topic and a server
// name. Namespace and version belong to the endpoints. Here they are checked but otherwise ignored,
// as upstream.
func (t Target) ValidateServer() error {
	if t.Topic == "" || t.Server == "" {
		return t.invalid("a server's target must have topic and server names: set Target.Topic and Target.Server")
	}
	return t.Validate()
}

// ValidateMethod returns an error if a method cannot have this name, because it is empty, too long,
// not UTF-8, or has control characters. The error is an [Error] of kind [InvalidTarget].
func ValidateMethod(name string) error {
	reason := badName(name)
	if name == "" {
		reason = "is empty: name the method"
	}
	if reason == "" {
		return nil
	}
	return &Error{Kind: InvalidTarget, NotStarted: true, Message: fmt.Sprintf("the method name %s %s", quote(name), reason)}
}

// ValidateOrderKey returns an error if messages cannot have this order key, because it is longer
// than 255 bytes, not UTF-8, or has control characters. An empty key is valid and sets no order.
// The error is an [Error] of kind [InvalidTarget].
func ValidateOrderKey(key string) error {
	if reason := badName(key); reason != "" {
		return &Error{Kind: InvalidTarget, NotStarted: true, Message: fmt.Sprintf("the order key %s %s", quote(key), reason)}
	}
	return nil
}

func (t Target) invalid(format string, args ...any) error {
	return &Error{Kind: InvalidTarget, Target: t, Message: fmt.Sprintf(format, args...), NotStarted: true}
}

func badName(s string) string {
	if isPlain(s) {
		return ""
	}
	switch {
	case len(s) > maxName:
		return fmt.Sprintf("is longer than %d bytes: shorten it", maxName)
	case !utf8.ValidString(s):
		return "is not UTF-8: encode it"
	case strings.ContainsFunc(s, IsControl):
		return "has control characters: remove them"
	}
	return ""
}

// isPlain reports whether s is a valid name of printable ASCII characters only. Nearly all names
// are, and this check is faster than the full one.
func isPlain(s string) bool {
	if len(s) > maxName {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// plain returns a name for use in a text. It quotes a name that no target may have.
func plain(name string) string {
	if badName(name) != "" {
		return quote(name)
	}
	return name
}

// word returns a name for use within a sentence. It quotes a name that contains spaces or
// punctuation.
func word(name string) string {
	if badName(name) != "" || strings.ContainsAny(name, " ,;:()") {
		return quote(name)
	}
	return name
}

// quote quotes text, and shortens it if it is longer than a name may be. A peer may have chosen the
// text.
func quote(s string) string {
	if len(s) > maxName {
		return fmt.Sprintf("%.64q...", s)
	}
	return strconv.Quote(s)
}
