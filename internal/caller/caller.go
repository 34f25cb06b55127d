// Package caller encodes and decodes the original sender of messages that gateways forward.
package caller

import (
	"errors"
	"slices"

	"google.golang.org/protobuf/proto"

	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
)

// Caller is the original sender of a message, as the first gateway saw it.
type Caller struct {
	// Names are the names that the caller proved, Addr is its network address, and Agent the name
	// that it gives itself.
	Names       []string
	Addr, Agent string
	// Gateways are the boot ids of the gateways that forwarded the message, in order.
	Gateways []string
}

// These are the bounds of an encoded caller.
const (
	maxSize     = 8 << 10
	maxNames    = 64
	maxGateways = 8
)

// ErrTooMuch is the error for a caller that exceeds the bounds, so that no gateway can have sent
// it.
var ErrTooMuch = errors.New("`caller` is larger than what gateways send: leave it out")

// Encode returns the caller in the form of the protocol.
func (c *Caller) Encode() string {
	encoded, err := proto.Marshal(&pb.Caller{Names: c.Names, Address: c.Addr, Agent: c.Agent, Gateways: c.Gateways})
	if err != nil { // a name is not UTF-8: leave out everything but the gateways
		encoded, _ = proto.Marshal(&pb.Caller{Gateways: c.Gateways})
	}
	return string(encoded)
}

// Decode decodes the result of Encode.
func Decode(encoded string) (*Caller, error) {
	if len(encoded) > maxSize {
		return nil, ErrTooMuch
	}
	m := &pb.Caller{}
	if err := proto.Unmarshal([]byte(encoded), m); err != nil {
		return nil, errors.New("`caller` is malformed: leave it out")
	}
	if len(m.GetNames()) > maxNames || len(m.GetGateways()) > maxGateways {
		return nil, ErrTooMuch
	}
	return &Caller{Names: slices.Clone(m.GetNames()), Addr: m.GetAddress(), Agent: m.GetAgent(), Gateways: m.GetGateways()}, nil
}
