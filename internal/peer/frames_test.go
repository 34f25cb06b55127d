package peer

import (
	"slices"
	"testing"
)

// Settings are found at any position, however the bytes are split.
func TestSettingsAmongFrames(t *testing.T) {
	t.Parallel()
	const (
		hundred = "\x00\x00\x0c\x04\x00\x00\x00\x00\x00" + "\x00\x04\x00\x00\xff\xff" + "\x00\x03\x00\x00\x00\x64"
		ack     = "\x00\x00\x00\x04\x01\x00\x00\x00\x00"
		data    = "\x00\x00\x06\x00\x00\x00\x00\x00\x01" + "\x00\x03\x00\x00\x00\x07"
		none    = "\x00\x00\x06\x04\x00\x00\x00\x00\x00" + "\x00\x03\x00\x00\x00\x00"
		empty   = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	)
	stream := []byte(hundred + ack + data + empty + none + data)
	for size := 1; size <= len(stream); size++ {
		var f frames
		var limits []uint32
		settled := 0
		for part := range slices.Chunk(stream, size) {
			if !f.follow(part, func(id uint16, value uint32) {
				if id == settingMaxStreams {
					limits = append(limits, value)
				}
			}, func() { settled++ }) {
				t.Fatalf("in parts of %d it is not taken for HTTP/2", size)
			}
		}
		if !slices.Equal(limits, []uint32{100, 0}) || settled != 3 {
			t.Errorf("in parts of %d: got limits %v, and %d frames of settings", size, limits, settled)
		}
	}
	if (&frames{}).follow([]byte(data), nil, nil) {
		t.Error("what does not begin with settings is taken for HTTP/2")
	}
}
