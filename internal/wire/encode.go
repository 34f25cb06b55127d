package wire

import (
	"errors"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/runtime/protoiface"
)

// errNotUTF8 is the error for a request with a text that is not UTF-8. Generated code returns the
// same error.
var errNotUTF8 = errors.New("string field contains invalid UTF-8")

// text is a text field of a message. An empty text is not encoded.
type text struct {
	number protowire.Number
	value  string
}

// targetTexts are the fields of the target of a request.
func (r *Request) targetTexts() [5]text {
	t := &r.Target
	return [...]text{
		{targetExchange, t.Exchange}, {targetTopic, t.Topic}, {targetNamespace, t.Namespace},
		{targetVersion, t.Version}, {targetServer, t.Server},
	}
}

// ids are the fields of the message after the payloads.
func (r *Request) ids() [3]text {
	return [...]text{{messageID, r.ID}, {messageInstanceID, r.InstanceID}, {messageOrderKey, r.OrderKey}}
}

// sizes are the sizes of the parts of a request in bytes, without the tag and the length before
// each part.
type sizes struct{ target, context, kwargs, message int }

func (r *Request) sizes() sizes {
	var s sizes
	for _, t := range r.targetTexts() {
		s.target += t.size()
	}
	s.message = fieldSize(s.target) + text{messageMethod, r.Method}.size()
	if !r.Bare {
		s.kwargs = payloadSize(r.Kwargs)
		s.message += fieldSize(s.kwargs)
	}
	if r.Context != "" {
		s.context = payloadSize(r.Context)
		s.message += fieldSize(s.context)
	}
	for _, t := range r.ids() {
		s.message += t.size()
	}
	s.message += text{messageCaller, r.Caller}.size()
	return s
}

// sizeRequest computes the sizes, and stores them for marshalRequest.
func sizeRequest(in protoiface.SizeInput) protoiface.SizeOutput {
	r := in.Message.(*Request)
	if in.Flags&protoiface.MarshalUseCachedSize == 0 {
		r.sized = r.sizes()
	}
	return protoiface.SizeOutput{Size: fieldSize(r.sized.message)}
}

// marshalRequest encodes a request. It writes the keyword arguments even if their text is empty.
// Package proto calls sizeRequest right before.
func marshalRequest(in protoiface.MarshalInput) (protoiface.MarshalOutput, error) {
	r, b := in.Message.(*Request), in.Buf
	if !r.isUTF8() {
		return protoiface.MarshalOutput{}, errNotUTF8
	}
	b = r.appendMessage(appendHead(b, requestMessage, r.sized.message), r.sized)
	return protoiface.MarshalOutput{Buf: b}, nil
}

// appendMessage appends the content of the message.
func (r *Request) appendMessage(b []byte, s sizes) []byte {
	b = appendHead(b, messageTarget, s.target)
	for _, t := range r.targetTexts() {
		b = t.append(b)
	}
	b = text{messageMethod, r.Method}.append(b)
	if r.Context != "" {
		b = appendPayload(b, messageContext, s.context, r.Context)
	}
	if !r.Bare {
		b = appendPayload(b, messageKwargs, s.kwargs, r.Kwargs)
	}
	for _, t := range r.ids() {
		b = t.append(b)
	}
	return text{messageCaller, r.Caller}.append(b)
}

// isUTF8 reports whether all texts of a request are UTF-8.
func (r *Request) isUTF8() bool {
	if !isUTF8(r.Method) || !utf8.ValidString(r.Context) || !utf8.ValidString(r.Kwargs) {
		return false
	}
	for _, t := range r.targetTexts() {
		if !isUTF8(t.value) {
			return false
		}
	}
	for _, t := range r.ids() {
		if !isUTF8(t.value) {
			return false
		}
	}
	return true
}

func (t text) size() int {
	if t.value == "" {
		return 0
	}
	return fieldSize(len(t.value))
}

func (t text) append(b []byte) []byte {
	if t.value == "" {
		return b
	}
	return append(appendHead(b, t.number, len(t.value)), t.value...)
}

// tagSize is the size of a tag in bytes. The numbers of all fields here are small enough for one
// byte.
const tagSize = 1

// fieldSize is the size of a field whose value has n bytes.
func fieldSize(n int) int {
	if n < 0x80 {
		return tagSize + 1 + n
	}
	return tagSize + protowire.SizeBytes(n)
}

// payloadSize is the size of a payload that is JSON text.
func payloadSize(json string) int { return fieldSize(len(json)) }

// appendHead appends the tag and the length of a value of n bytes.
func appendHead(b []byte, number protowire.Number, n int) []byte {
	if n < 0x80 {
		return append(b, byte(number<<3)|byte(protowire.BytesType), byte(n)) //nolint:gosec // Numbers of our fields are less than 16.
	}
	b = protowire.AppendTag(b, number, protowire.BytesType)
	return protowire.AppendVarint(b, uint64(n))
}

// appendPayload appends a payload field. N is the size of the payload.
func appendPayload(b []byte, number protowire.Number, n int, json string) []byte {
	b = appendHead(appendHead(b, number, n), payloadJSON, len(json))
	return append(b, json...)
}
