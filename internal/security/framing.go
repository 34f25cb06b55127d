package security

// framing finds the boundaries of HTTP/2 frames in data that arrives in pieces of any size. The
// zero value is for the beginning of a connection.
type framing struct {
	begun  bool // a frame was complete
	header [frameHeader]byte
	has    int // how many bytes of the header were consumed
	left   int // bytes of the frame that are still to come
}

const frameHeader = 9

// between reports whether the last frame is complete and no other one has begun, so that a frame
// may be inserted.
func (f *framing) between() bool { return f.begun && f.has == 0 && f.left == 0 }

// advance consumes bytes up to the end of the current frame, or all of b if the frame does not end
// in b. It returns how many bytes it consumed.
func (f *framing) advance(b []byte) (n int) {
	for n < len(b) {
		if f.left > 0 {
			step := min(f.left, len(b)-n)
			f.left, n = f.left-step, n+step
		} else {
			step := copy(f.header[f.has:], b[n:])
			f.has, n = f.has+step, n+step
			if f.has < frameHeader {
				return n
			}
			f.left, f.has = int(f.header[0])<<16|int(f.header[1])<<8|int(f.header[2]), 0
		}
		if f.left == 0 {
			f.begun = true
			return n
		}
	}
	return n
}

// goAway is an HTTP/2 GOAWAY frame without an error. After it, no new streams are opened on the
// connection, and the connection ends when the open streams have ended.
var goAway = []byte{0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0}
