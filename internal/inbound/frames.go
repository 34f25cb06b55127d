package inbound

import "encoding/binary"

// These are the parts of HTTP/2 that the guard uses.
const (
	prefaceSize = 24
	headerSize  = 9

	typeData         = 0
	typeHeaders      = 1
	typeReset        = 3
	typeWindowUpdate = 8
	typeContinuation = 9

	flagEndStream  = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8

	codeEnhanceYourCalm = 11
)

// frame is the header of a frame.
type frame struct {
	length      int
	kind, flags byte
	stream      uint32
}

func (f frame) has(flag byte) bool { return f.flags&flag != 0 }

// endsStream reports whether the sender sends no further frame on the stream.
func (f frame) endsStream() bool {
	return f.kind == typeReset || (f.kind == typeData || f.kind == typeHeaders) && f.has(flagEndStream)
}

// frames parses one direction of a connection into frames. The input may be cut anywhere.
type frames struct {
	frame   frame // the one that is on its way
	left    int   // bytes of it that are still to come
	skip    int   // bytes that are no frame, such as the preface
	header  [headerSize]byte
	has     int  // bytes of a header that is not complete
	headers bool // a header list has begun and goes on in the next frame
}

// next consumes the beginning of b. It returns how many bytes it consumed, and whether they
// complete the header of a frame. Otherwise they are content of the frame, or a part of a header.
func (f *frames) next(b []byte) (n int, begins bool) {
	switch {
	case f.skip > 0:
		n = min(f.skip, len(b))
		f.skip -= n
		return n, false
	case f.left > 0:
		n = min(f.left, len(b))
		f.left -= n
		return n, false
	}
	n = copy(f.header[f.has:], b)
	f.has += n
	if f.has < headerSize {
		return n, false
	}
	h := &f.header
	f.frame = frame{int(h[0])<<16 | int(h[1])<<8 | int(h[2]), h[3], h[4], binary.BigEndian.Uint32(h[5:]) &^ (1 << 31)}
	f.left, f.has = f.frame.length, 0
	if f.frame.kind == typeHeaders || f.frame.kind == typeContinuation {
		f.headers = !f.frame.has(flagEndHeaders)
	}
	return n, true
}

// within reports whether a frame is incomplete.
func (f *frames) within() bool { return f.skip > 0 || f.left > 0 || f.has > 0 }

// isBetween reports whether another frame may be inserted here.
func (f *frames) isBetween() bool { return !f.within() && !f.headers }

// untilEnd returns how many bytes are missing from the current part: the preface, a header or a
// content.
func (f *frames) untilEnd() int {
	switch {
	case f.skip > 0:
		return f.skip
	case f.left > 0:
		return f.left
	default:
		return headerSize - f.has
	}
}

// number returns a frame whose content is one number.
func number(kind byte, stream, value uint32) []byte {
	b := binary.BigEndian.AppendUint32([]byte{0, 0, 4, kind, 0}, stream)
	return binary.BigEndian.AppendUint32(b, value)
}

// content finds gRPC messages in the content of a stream's DATA frames.
type content struct {
	prefix [5]byte
	has    int
	length int // of the message
	left   int // bytes of it that are still to come
}

// take consumes content, and reports whether a message began.
func (c *content) take(b []byte) (began bool) {
	for len(b) > 0 {
		if c.left > 0 {
			n := min(c.left, len(b))
			c.left, b = c.left-n, b[n:]
			continue
		}
		n := copy(c.prefix[c.has:], b)
		c.has, b = c.has+n, b[n:]
		if c.has == len(c.prefix) {
			c.length, c.has, began = int(binary.BigEndian.Uint32(c.prefix[1:])), 0, true
			c.left = c.length
		}
	}
	return began
}

// within reports whether a message is incomplete.
func (c *content) within() bool { return c.has > 0 || c.left > 0 }
