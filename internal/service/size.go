package service

import (
	"fmt"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// A typed message passes gRPC's own limits, which are above ours so that our error can say what
// happened. What follows holds it to ours.

// checkRequest returns the error for a request that is too large. The method has not run.
func (m *typedMessage) checkRequest(size int) error {
	if size <= m.maxSize {
		return nil
	}
	return &rpc.Error{Kind: rpc.TooLarge, NotStarted: true, Message: fmt.Sprintf(
		"the request has %d bytes, and this server takes %d: send less at a time, or raise the server's limit", size, m.maxSize)}
}

// checkResult returns the error for a result, or an item of a stream, that cannot be sent. gRPC
// would say so only once the method is out of sight, with a status that does not tell whether it
// ran.
func (m *typedMessage) checkResult(result any) error {
	message, ok := result.(proto.Message)
	if !ok {
		return nil // another codec encodes it
	}
	size := proto.Size(message)
	if size > m.maxSize {
		return &rpc.Error{Kind: rpc.TooLarge, Message: fmt.Sprintf(
			"the method ran, and its result has %d bytes where this server sends %d: return less at a time, or raise the server's limit",
			size, m.maxSize)}
	}
	if err := encodes(message); err != nil {
		return &rpc.Error{Kind: rpc.BadResult, Cause: err, Message: "the method ran, and its result cannot be encoded: " + err.Error()}
	}
	return nil
}

// scratch are buffers to encode into; large ones are not kept.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

const maxScratch = 64 << 10

// encodes returns why a message, whose size was just computed, cannot be encoded. Texts that are
// not UTF-8 are what protobuf refuses.
func encodes(message proto.Message) error {
	buffer := scratch.Get().(*[]byte)
	encoded, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend((*buffer)[:0], message)
	if cap(encoded) <= maxScratch {
		*buffer = encoded[:0]
		scratch.Put(buffer)
	}
	return err
}

// boundStream is a stream with our limits.
type boundStream struct {
	grpc.ServerStream

	message *typedMessage

	mu     sync.Mutex
	broken error // why the stream cannot go on
}

// SendMsg sends an item, unless it cannot be sent, which ends the stream whatever the method makes
// of the error.
func (s *boundStream) SendMsg(item any) error {
	if err := s.message.checkResult(item); err != nil {
		return s.fail(err)
	}
	return s.ServerStream.SendMsg(item)
}

// RecvMsg receives a message. One that is too large ends the stream.
func (s *boundStream) RecvMsg(message any) error {
	if err := s.ServerStream.RecvMsg(message); err != nil {
		return err
	}
	received, ok := message.(proto.Message)
	if !ok {
		return nil
	}
	if n := proto.Size(received); n > s.message.maxSize {
		return s.fail(&rpc.Error{Kind: rpc.TooLarge, Message: fmt.Sprintf(
			"a message of the stream has %d bytes, and this server takes %d: send less at a time, or raise the server's limit", n, s.message.maxSize)})
	}
	return nil
}

func (s *boundStream) fail(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken == nil {
		s.broken = err
	}
	return s.broken
}

// result returns what came of a method that returned err.
func (s *boundStream) result(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return s.broken
	}
	return failed(err)
}
