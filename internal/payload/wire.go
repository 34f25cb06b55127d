package payload

import (
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// JSON returns JSON text as a payload of the protocol. It makes one allocation for all parts,
// because each message has at least one payload.
func JSON(text string) *pb.Payload {
	p := &struct {
		payload pb.Payload
		json    pb.Payload_Json
	}{json: pb.Payload_Json{Json: text}}
	p.payload.Encoding = &p.json
	return &p.payload
}

// Text returns a payload as JSON text, or an empty string if p is nil or empty. A payload in an
// unknown encoding is an error of the given kind: its content would be lost if it counted as empty.
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
