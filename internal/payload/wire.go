package payload

import pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"

// JSON returns JSON text as a payload of the contract. Each message has at least one, so its parts are one allocation.
func JSON(text string) *pb.Payload {
	p := &struct {
		payload pb.Payload
		json    pb.Payload_Json
	}{json: pb.Payload_Json{Json: text}}
	p.payload.Encoding = &p.json
	return &p.payload
}
