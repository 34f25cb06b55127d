package wire

import (
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/runtime/protoiface"

	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Request is a CallRequest or a CastRequest to encode or decode.
type Request struct {
	message

	// Admitter is asked before an unusual request is decoded. Nil admits all. Err is its error.
	Admitter Admitter
	Err      error

	// Full is a decoded request that has fields beyond the ones below, which are empty in that
	// case. It is nil for a usual request.
	Full *pb.CallRequest
	// Target does not use Fanout.
	Target rpc.Target
	// Method, ID, InstanceID and OrderKey are fields of Message in the protocol.
	Method, ID, InstanceID, OrderKey string
	// Kwargs and Context are JSON text. An empty string means that the request lacks the field.
	Kwargs, Context string
	// Caller is the original caller, as an encoded Caller, if a gateway sends the message;
	// otherwise empty.
	Caller string
	// Bare encodes a request without keyword arguments, even empty ones.
	Bare bool

	sized sizes // the sizes that sizeRequest computed
}

var (
	emptyRequest   = (&pb.CallRequest{}).ProtoReflect()
	requestMethods = protoiface.Methods{
		Flags:            protoiface.SupportMarshalDeterministic,
		Size:             sizeRequest,
		Marshal:          marshalRequest,
		Unmarshal:        unmarshalRequest,
		CheckInitialized: nothingRequired,
	}
)

// Reset empties the request.
func (r *Request) Reset() { *r = Request{message: emptyRequest, Admitter: r.Admitter} }

// ProtoReflect returns the request in the form that package proto uses.
func (r *Request) ProtoReflect() protoreflect.Message { return r }

// Interface returns the request.
func (r *Request) Interface() protoreflect.ProtoMessage { return r }

// ProtoMethods returns the functions that encode and decode a request.
func (r *Request) ProtoMethods() *protoiface.Methods { return &requestMethods }

func unmarshalRequest(in protoiface.UnmarshalInput) (protoiface.UnmarshalOutput, error) {
	r := in.Message.(*Request)
	if !r.decode(in.Buf) {
		r.Reset()
		if r.Admitter != nil {
			if r.Err = r.Admitter.Admit(emptyRequest.Descriptor(), in.Buf); r.Err != nil {
				return protoiface.UnmarshalOutput{}, r.Err
			}
		}
		r.Full = &pb.CallRequest{}
		if err := proto.Unmarshal(in.Buf, r.Full); err != nil {
			return protoiface.UnmarshalOutput{}, err
		}
	}
	return protoiface.UnmarshalOutput{Flags: protoiface.UnmarshalInitialized}, nil
}

// These are the numbers of the fields of a usual request.
const (
	requestMessage protowire.Number = 1

	messageTarget     protowire.Number = 1
	messageMethod     protowire.Number = 2
	messageContext    protowire.Number = 3
	messageKwargs     protowire.Number = 4
	messageID         protowire.Number = 5
	messageInstanceID protowire.Number = 6
	messageOrderKey   protowire.Number = 8
	messageCaller     protowire.Number = 11

	targetExchange  protowire.Number = 1
	targetTopic     protowire.Number = 2
	targetNamespace protowire.Number = 3
	targetVersion   protowire.Number = 4
	targetServer    protowire.Number = 5

	payloadJSON protowire.Number = 1
)

// decode decodes a usual request. It returns false for any other.
func (r *Request) decode(b []byte) bool {
	b, ok := only(b, requestMessage)
	return ok && r.decodeMessage(b)
}

// decodeMessage decodes the message of a usual request.
func (r *Request) decodeMessage(b []byte) (ok bool) {
	var names names
	for ok = true; ok && len(b) > 0; {
		var number protowire.Number
		var value []byte
		if number, value, b, ok = field(b); !ok {
			return false
		}
		switch number {
		case messageTarget:
			ok = r.decodeTarget(value, &names)
		case messageMethod:
			ok = names.add(&r.Method, value)
		case messageContext:
			ok = decodePayload(&r.Context, value)
		case messageKwargs:
			ok = decodePayload(&r.Kwargs, value)
		case messageID:
			ok = names.add(&r.ID, value)
		case messageInstanceID:
			ok = names.add(&r.InstanceID, value)
		case messageOrderKey:
			ok = names.add(&r.OrderKey, value)
		case messageCaller:
			ok = r.Caller == ""
			r.Caller = string(value)
		default:
			return false
		}
	}
	return ok && names.assign()
}

func (r *Request) decodeTarget(b []byte, names *names) (ok bool) {
	for len(b) > 0 {
		var number protowire.Number
		var value []byte
		if number, value, b, ok = field(b); !ok {
			return false
		}
		switch number {
		case targetExchange:
			ok = names.add(&r.Target.Exchange, value)
		case targetTopic:
			ok = names.add(&r.Target.Topic, value)
		case targetNamespace:
			ok = names.add(&r.Target.Namespace, value)
		case targetVersion:
			ok = names.add(&r.Target.Version, value)
		case targetServer:
			ok = names.add(&r.Target.Server, value)
		default:
			return false
		}
		if !ok {
			return false
		}
	}
	return true
}

// decodePayload stores the text of a payload. It returns false if there was such a payload before.
func decodePayload(to *string, payload []byte) (ok bool) {
	if *to != "" {
		return false
	}
	*to, ok = jsonText(payload)
	return ok
}

// names are the short texts of a request. They share the memory of one string, which saves
// allocations.
type names struct {
	count int
	names [10]struct {
		to   *string
		text []byte
	}
}

// add records a text for assign. It returns false if the text is empty, which some fields forbid,
// or if the field occurred before.
func (n *names) add(to *string, text []byte) bool {
	if len(text) == 0 || n.count == len(n.names) {
		return false
	}
	for i := range n.count {
		if n.names[i].to == to {
			return false
		}
	}
	n.names[n.count].to, n.names[n.count].text = to, text
	n.count++
	return true
}

// assign stores the texts in their fields. It returns false if a text is not UTF-8.
func (n *names) assign() bool {
	var few [256]byte
	joined := few[:0]
	for _, name := range n.names[:n.count] {
		if !isUTF8(name.text) {
			return false
		}
		joined = append(joined, name.text...)
	}
	all := string(joined)
	for _, name := range n.names[:n.count] {
		*name.to, all = all[:len(name.text)], all[len(name.text):]
	}
	return true
}
