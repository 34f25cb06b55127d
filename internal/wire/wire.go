// Package wire encodes and decodes the messages of calls and casts without reflection. Generated
// code needs an allocation for each part of a message, and twice the time; the difference is a
// tenth of the cost of a small call.
//
// The types here implement just enough of a protobuf message for gRPC's codec. To reflection they
// look empty. Use them only for RPCs whose messages no other code sees, such as interceptors or
// statistics handlers of the program.
//
// A message with unusual fields, such as metadata or fields of a newer protocol, is decoded by
// generated code, which also reports malformed messages.
package wire

import (
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/runtime/protoiface"
)

// message is the reflection of a message without fields.
type message = protoreflect.Message

// nothingRequired is the check for required fields. The protocol has none. Without this function,
// package proto would look for required fields by reflection.
func nothingRequired(protoiface.CheckInitializedInput) (protoiface.CheckInitializedOutput, error) {
	return protoiface.CheckInitializedOutput{}, nil
}

// field splits off the first field of an encoded message. It accepts only fields with a length,
// such as texts and messages.
func field(b []byte) (number protowire.Number, value, rest []byte, ok bool) {
	// Nearly every tag takes one byte, and nearly every length one or two.
	if len(b) >= 2 && b[0] < 0x80 && protowire.Type(b[0]&7) == protowire.BytesType && b[0] >= 1<<3 {
		n, head := int(b[1]), 2
		if n >= 0x80 && len(b) > 2 {
			n, head = n&0x7f|int(b[2])<<7, 3
		}
		if n < 1<<14 && n <= len(b)-head && (head == 3 || n < 0x80) {
			return protowire.Number(b[0] >> 3), b[head : head+n : head+n], b[head+n:], true
		}
	}
	return anyField(b)
}

// anyField is field for all other encodings of the tag and the length.
func anyField(b []byte) (number protowire.Number, value, rest []byte, ok bool) {
	number, kind, n := protowire.ConsumeTag(b)
	if n < 0 || kind != protowire.BytesType {
		return 0, nil, nil, false
	}
	value, m := protowire.ConsumeBytes(b[n:])
	if m < 0 {
		return 0, nil, nil, false
	}
	return number, value, b[n+m:], true
}

// only returns the value of the only field of a message.
func only(b []byte, want protowire.Number) (value []byte, ok bool) {
	number, value, rest, ok := field(b)
	return value, ok && number == want && len(rest) == 0
}

// jsonText returns the JSON text of a payload. It returns false for an empty text, which is left to
// generated code.
func jsonText(payload []byte) (string, bool) {
	text, ok := only(payload, payloadJSON)
	if !ok || len(text) == 0 || !utf8.Valid(text) {
		return "", false
	}
	return string(text), true
}

// isUTF8 reports whether a short text is UTF-8. Nearly all are ASCII.
func isUTF8[T string | []byte](s T) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return utf8.ValidString(string(s))
		}
	}
	return true
}
