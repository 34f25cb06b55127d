package carriertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/oslorpc/oslorpc/internal/carrier"
	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// form is a form of message. Every form has the same content: what the method must do, and how many
// items it sends before that.
type form struct {
	name string
	// delivery is the delivery that the server sees.
	delivery rpc.Delivery
	// request returns a message of this form. Finish sends the message and returns its items as
	// text.
	request func(what string, items int) *carrier.Request
	finish  func(ctx context.Context, link carrier.Link, r *carrier.Request) ([]string, error)
}

// isCast reports whether the sender gets no result of the method.
func (f *form) isCast() bool { return f.delivery == rpc.DeliveryCast }

// hasItems reports whether the method may send several items.
func (f *form) hasItems() bool { return f.delivery == rpc.DeliveryMulticall }

// isTyped reports whether the message is for a typed service.
func (f *form) isTyped() bool { return f.request(answer, 0).Typed != nil }

// clientStreams reports whether the client sends a stream.
func (f *form) clientStreams() bool { return f.delivery == rpc.DeliveryStream }

// These are the names of the forms that tests ask for.
const (
	call          = "call"
	monitoredCall = "monitored call"
	multicall     = "multicall"
	typedItems    = "typed items"
	clientStream  = "typed stream of the client"
	bothStream    = "typed stream of both"
)

var forms = []form{
	{call, rpc.DeliveryCall, dynamic(carrier.Call, 0), do},
	{"cast", rpc.DeliveryCast, dynamic(carrier.Cast, 0), do},
	{monitoredCall, rpc.DeliveryCall, dynamic(carrier.Call, time.Hour), do},
	{multicall, rpc.DeliveryMulticall, dynamic(carrier.Multicall, 0), receiveAll},
	{"typed call", rpc.DeliveryCall, func(what string, _ int) *carrier.Request {
		return typedRequest("GetVolume", carrier.Typed{Message: &v1.GetVolumeRequest{Name: what}, Result: &v1.GetVolumeResponse{}})
	}, do},
	{"typed cast", rpc.DeliveryCast, func(what string, _ int) *carrier.Request {
		r := typedRequest("ReportUsage", carrier.Typed{Message: &v1.ReportUsageRequest{Name: what}, Result: &emptypb.Empty{}})
		r.Mode = carrier.Cast
		return r
	}, do},
	{typedItems, rpc.DeliveryMulticall, func(what string, items int) *carrier.Request {
		return typedRequest("WatchVolumes", carrier.Typed{
			Message: &v1.WatchVolumesRequest{Prefix: what, Revision: int64(items)}, ServerStreams: true,
		})
	}, receiveAll},
	{clientStream, rpc.DeliveryStream, func(what string, _ int) *carrier.Request {
		return typedRequest("ImportVolumes", carrier.Typed{Message: &v1.ImportVolumesRequest{Name: what}, ClientStreams: true})
	}, receiveAll},
	{bothStream, rpc.DeliveryStream, func(what string, _ int) *carrier.Request {
		return typedRequest("SyncVolumes", carrier.Typed{
			Message: &v1.SyncVolumesRequest{Name: what}, ClientStreams: true, ServerStreams: true,
		})
	}, receiveAll},
}

// formOf returns a form by its name.
func formOf(name string) *form {
	for i := range forms {
		if forms[i].name == name {
			return &forms[i]
		}
	}
	panic("no form " + name)
}

func dynamic(mode carrier.Mode, silence time.Duration) func(string, int) *carrier.Request {
	return func(what string, items int) *carrier.Request {
		return &carrier.Request{
			Target: rpc.Target{Exchange: exchange, Topic: topic}, Method: "act", Mode: mode, InstanceID: instance, Silence: silence,
			Kwargs: fmt.Sprintf(`{"What":%s,"Items":%d}`, quoted(what), items),
		}
	}
}

// quoted is like strconv.Quote, but keeps bytes that are not valid UTF-8.
func quoted(s string) string { return `"` + s + `"` }

func typedRequest(method string, t carrier.Typed) *carrier.Request {
	t.Path = "/" + v1.InventoryService_ServiceDesc.ServiceName + "/" + method
	return &carrier.Request{
		Target: rpc.Target{Exchange: exchange, Topic: topic, Namespace: "volumes", Version: "1.2"},
		Method: method, InstanceID: instance, Typed: &t,
	}
}

// do sends a message with one answer.
func do(ctx context.Context, link carrier.Link, r *carrier.Request) ([]string, error) {
	reply, err := link.Do(ctx, r)
	switch {
	case err != nil:
		return nil, err
	case r.Mode == carrier.Cast:
		return nil, nil
	case r.Typed != nil:
		return []string{text(r.Typed.Result)}, nil
	default:
		return []string{strings.Trim(reply.Result, `"`)}, nil
	}
}

// receiveAll opens a stream, sends no further messages, and receives all items.
func receiveAll(ctx context.Context, link carrier.Link, r *carrier.Request) ([]string, error) {
	stream, err := link.Open(ctx, r)
	if err != nil {
		return nil, err
	}
	defer stream.Close(nil)
	if err := stream.CloseSend(); err != nil {
		return nil, err
	}
	return rest(stream, r)
}

// rest receives the remaining items of a stream.
func rest(stream carrier.Stream, r *carrier.Request) (items []string, err error) {
	for {
		item, err := next(stream, r)
		if errors.Is(err, io.EOF) {
			return items, nil
		}
		if err != nil {
			return items, err
		}
		items = append(items, item)
	}
}

// next receives the next item of a stream.
func next(stream carrier.Stream, r *carrier.Request) (string, error) {
	if r.Typed == nil {
		var item string
		err := stream.Receive(&item)
		return strings.Trim(item, `"`), err
	}
	var item proto.Message
	switch r.Method {
	case "WatchVolumes":
		item = &v1.WatchVolumesResponse{}
	case "ImportVolumes":
		item = &v1.ImportVolumesResponse{}
	default:
		item = &v1.SyncVolumesResponse{}
	}
	err := stream.Receive(item)
	return text(item), err
}

// text returns the text in a message of the typed service.
func text(message any) string {
	switch m := message.(type) {
	case interface{ GetName() string }:
		return m.GetName()
	case *v1.ImportVolumesResponse:
		return strconv.FormatInt(m.GetImported(), 10)
	default:
		return ""
	}
}
