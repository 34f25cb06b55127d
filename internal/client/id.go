package client

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"sync/atomic"
)

// ids makes the ids of messages. They cannot be guessed: a process that knows one cannot use up
// the next ones. Each is a number that a cipher with a random key hides, so no two of a
// transport are the same, and the ids of two transports have 128 bits to differ.
type ids struct {
	cipher cipher.Block
	last   atomic.Uint64
}

func newIDs() ids {
	var key [16]byte
	_, _ = rand.Read(key[:])          // it never fails, by its documentation
	block, _ := aes.NewCipher(key[:]) // it fails only for keys of another length
	return ids{cipher: block}
}

// idBlock is room to make an id in. What a cipher of an interface gets is on the heap, so messages
// bring it along.
type idBlock [aes.BlockSize]byte

// next returns an id that no other message has.
func (i *ids) next(block *idBlock) string {
	binary.BigEndian.PutUint64(block[:], i.last.Add(1))
	i.cipher.Encrypt(block[:], block[:])
	var text [22]byte
	base64.RawURLEncoding.Encode(text[:], block[:])
	return string(text[:])
}
