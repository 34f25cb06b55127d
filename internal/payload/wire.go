package payload

import (
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// JSON returns JSON text as a payload of the contract. Each message has at least one, so its parts
// are one allocation.
func JSON(text string) *pb.Payload {
	p := &struct {
		payload pb.Payload
		json    pb.Payload_Json
	}{json: pb.Payload_Json{Json: text}}
	p.payload.Encoding = &p.json
	return &p.payload
}

// Text returns a payload as JSON text, empty if there is none. The error of one in an encoding
// that this program does not know is of the given kind: to take it for an absent one would lose
// it.
func Text(p *pb.Payload, kind rpc.Kind) (string, error) {
	switch e := p.GetEncoding().(type) {
	case *pb.Payload_Json:
		return e.Json, nil
	case *pb.Payload_Value:
		return FromValue(e.Value, kind)
	}
	if p != nil && len(p.ProtoReflect().GetUnknown()) > 0 {
		return "", &rpc.Error{Kind: kind, Message: "the encoding of the payload is not known here; the peer may be newer"}
	}
	return "", nil
}
