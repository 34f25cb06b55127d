package limits

import (
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Messages can be many times larger in memory than encoded: "{}," is an object, and two bytes can
// be an empty protobuf message. The functions here estimate the size of a message without decoding
// it.

// SmallMessage is the size up to which messages are not estimated, in bytes. They are small in
// memory, too.
const SmallMessage = 64 << 10

// These are the sizes of values in memory besides their text, in bytes: measured, and rounded up.
const (
	objectCost  = 96
	arrayCost   = 48
	elementCost = 32
	memberCost  = 48

	// firstMemberCost is the memory that a map allocates for its first eight members.
	firstMemberCost = 256

	messageCost = 112
	fieldCost   = 24

	// maxNested is the maximum depth of messages, as in package proto.
	maxNested = 10_000
)

// JSON estimates how many bytes a JSON text takes when decoded. It returns 0 if that is small.
func JSON(text string) (n int) {
	if len(text) <= SmallMessage {
		return 0
	}
	n = len(text)
	last := byte(0)
	scan(text, func(c byte) {
		if last == '{' && c == ':' {
			n += firstMemberCost
		}
		switch c {
		case ' ', '\t', '\n', '\r':
			return
		case '{':
			n += objectCost
		case '[':
			n += arrayCost
		case ',':
			n += elementCost
		case ':':
			n += memberCost
		}
		last = c
	})
	return n
}

// IsDeep reports whether a JSON text is nested more than most levels deep.
func IsDeep(text string, most int) bool {
	if strings.Count(text, "[")+strings.Count(text, "{") <= most {
		return false
	}
	depth, deepest := 0, 0
	scan(text, func(c byte) {
		switch c {
		case '{', '[':
			depth++
			deepest = max(deepest, depth)
		case '}', ']':
			depth--
		}
	})
	return deepest > most
}

// scan calls f for each byte of a JSON text outside strings.
func scan(text string, f func(c byte)) {
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c != '"' {
			f(c)
			continue
		}
		for i++; i < len(text) && text[i] != '"'; i++ {
			if text[i] == '\\' {
				i++
			}
		}
	}
}

// Protobuf estimates how many bytes an encoded message takes when decoded. It returns 0 if that is
// small. It stops when the estimate reaches most, and at malformed input.
func Protobuf(d protoreflect.MessageDescriptor, b []byte, most int) int {
	if len(b) <= SmallMessage {
		return 0
	}
	e := estimate{left: most - len(b)}
	e.message(d, b, 0)
	return most - e.left
}

// IsDeepProtobuf reports whether an encoded message is nested more than most levels deep.
func IsDeepProtobuf(d protoreflect.MessageDescriptor, b []byte, most int) bool {
	if len(b) <= most { // each needs a byte
		return false
	}
	e := estimate{left: int(^uint(0) >> 1), deepest: most}
	e.message(d, b, 0)
	return e.isDeep
}

// estimate counts down how many bytes are left until the estimate stops.
type estimate struct {
	left    int
	deepest int // 0 for no bound
	isDeep  bool
}

func (e *estimate) message(d protoreflect.MessageDescriptor, b []byte, depth int) {
	if e.deepest > 0 && depth > e.deepest {
		e.isDeep = true
	}
	if depth > maxNested {
		return
	}
	fields := d.Fields()
	for len(b) > 0 && e.left > 0 && !e.isDeep {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return
		}
		b = b[n:]
		if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
			return
		}
		value := b[:n]
		b = b[n:]
		e.left -= fieldCost
		field := fields.ByNumber(number)
		if field == nil || field.Message() == nil || kind != protowire.BytesType {
			continue
		}
		e.left -= messageCost
		if content, m := protowire.ConsumeBytes(value); m >= 0 {
			e.message(field.Message(), content, depth+1)
		}
	}
}
