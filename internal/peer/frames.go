package peer

import "encoding/binary"

const (
	frameHeader  = 9
	typeSettings = 4
	flagAck      = 1
	// settingSize is the size of one setting in a SETTINGS frame, in bytes.
	settingSize = 6
	// settingMaxStreams is the identifier of MAX_CONCURRENT_STREAMS.
	settingMaxStreams = 3
)

// frames parses the HTTP/2 frames of incoming data, in pieces of any size. The zero value is for
// the beginning of a connection.
type frames struct {
	begun  bool // a frame has begun
	header [frameHeader]byte
	has    int // how many bytes of the header have come
	left   int // how many bytes of the frame are still to come

	settings bool // the current frame is a SETTINGS frame, and not an acknowledgement
	setting  [settingSize]byte
	part     int // how many bytes of the setting have come
}

// follow parses a piece of data. It calls set for each setting, and settled at the end of each
// SETTINGS frame. It returns false if the connection does not begin with a SETTINGS frame, as
// HTTP/2 does.
func (f *frames) follow(b []byte, set func(id uint16, value uint32), settled func()) bool {
	for len(b) > 0 {
		if f.left == 0 {
			n := copy(f.header[f.has:], b)
			f.has, b = f.has+n, b[n:]
			if f.has < frameHeader {
				return true
			}
			if !f.begin() {
				return false
			}
		} else {
			n := min(f.left, len(b))
			f.take(b[:n], set)
			f.left, b = f.left-n, b[n:]
		}
		if f.left == 0 && f.settings {
			settled()
		}
	}
	return true
}

// begin starts a frame whose header is complete. It returns false for a first frame that is not
// SETTINGS.
func (f *frames) begin() (ok bool) {
	h := &f.header
	f.left, f.has = int(h[0])<<16|int(h[1])<<8|int(h[2]), 0
	f.settings, f.part = h[3] == typeSettings && h[4]&flagAck == 0, 0
	ok, f.begun = f.begun || h[3] == typeSettings, true
	return ok
}

// take processes a part of a frame's payload.
func (f *frames) take(b []byte, set func(id uint16, value uint32)) {
	for f.settings && len(b) > 0 {
		n := copy(f.setting[f.part:], b)
		f.part, b = f.part+n, b[n:]
		if f.part == settingSize {
			set(binary.BigEndian.Uint16(f.setting[:]), binary.BigEndian.Uint32(f.setting[2:]))
			f.part = 0
		}
	}
}
