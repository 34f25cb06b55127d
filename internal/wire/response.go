package wire

import (
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/runtime/protoiface"

	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
)

// Response is a CallResponse to encode or decode. It is also a MulticallResponse, which is encoded
// alike.
type Response struct {
	message

	// Full is a decoded response whose result is not JSON text. It is nil for a usual response.
	Full *pb.CallResponse
	// Result is JSON text.
	Result string
	// Came is true after a response arrived, even if it could not be decoded.
	Came bool
}

// Fill makes r the response with a result, which must be UTF-8.
func (r *Response) Fill(result string) { *r = Response{message: emptyResponse, Result: result} }

var (
	emptyResponse   = (&pb.CallResponse{}).ProtoReflect()
	responseMethods = protoiface.Methods{
		Flags:            protoiface.SupportMarshalDeterministic,
		Size:             sizeResponse,
		Marshal:          marshalResponse,
		Unmarshal:        unmarshalResponse,
		CheckInitialized: nothingRequired,
	}
)

// Reset empties the response.
func (r *Response) Reset() { *r = Response{message: emptyResponse} }

// ProtoReflect returns the response in the form that package proto uses.
func (r *Response) ProtoReflect() protoreflect.Message { return r }

// Interface returns the response.
func (r *Response) Interface() protoreflect.ProtoMessage { return r }

// ProtoMethods returns the functions that encode and decode a response.
func (r *Response) ProtoMethods() *protoiface.Methods { return &responseMethods }

const responseResult protowire.Number = 1

func sizeResponse(in protoiface.SizeInput) protoiface.SizeOutput {
	return protoiface.SizeOutput{Size: fieldSize(payloadSize(in.Message.(*Response).Result))}
}

func marshalResponse(in protoiface.MarshalInput) (protoiface.MarshalOutput, error) {
	result := in.Message.(*Response).Result
	return protoiface.MarshalOutput{Buf: appendPayload(in.Buf, responseResult, payloadSize(result), result)}, nil
}

func unmarshalResponse(in protoiface.UnmarshalInput) (protoiface.UnmarshalOutput, error) {
	r := in.Message.(*Response)
	r.Came = true
	if !r.decode(in.Buf) {
		r.Full = &pb.CallResponse{}
		if err := proto.Unmarshal(in.Buf, r.Full); err != nil {
			return protoiface.UnmarshalOutput{}, err
		}
	}
	return protoiface.UnmarshalOutput{Flags: protoiface.UnmarshalInitialized}, nil
}

// decode decodes a usual response. It returns false for any other.
func (r *Response) decode(b []byte) (ok bool) {
	payload, ok := only(b, responseResult)
	if ok {
		r.Result, ok = jsonText(payload)
	}
	return ok
}
