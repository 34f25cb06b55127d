package client

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"sync/atomic"
)

// ids makes the ids of messages. They cannot be guessed, so a process that knows one id cannot use
// up the next ones. Each id is a number that a cipher with a random key hides. So no two ids of a
// transport are the same, and the ids of two transports differ in 128 random bits.
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

// idBlock is the buffer for an id. A buffer that is passed to a cipher through an interface escapes
// to the heap, so each message has its own.
type idBlock [aes.BlockSize]byte

// next returns an id that no other message has.
func (i *ids) next(block *idBlock) string {
	binary.BigEndian.PutUint64(block[:], i.last.Add(1))
	i.cipher.Encrypt(block[:], block[:])
	var text [22]byte
	base64.RawURLEncoding.Encode(text[:], block[:])
	return string(text[:])
}
