package program

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/internal/interop/wire"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Ask runs a client. The client handles the requests from standard input until the input ends.
func Ask(ctx context.Context, url string) error {
	t, err := open(url)
	if err != nil {
		return err
	}
	defer t.Close()
	c := &client{transport: t, out: wire.NewWriter(os.Stdout), cancels: map[int]context.CancelFunc{}}
	for in := bufio.NewReader(os.Stdin); ; {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		var r wire.Request
		if err == nil {
			err = json.Unmarshal(line, &r)
		}
		if err != nil {
			return err
		}
		c.begin(ctx, &r)
	}
}

type client struct {
	transport *oslorpc.Transport
	out       *wire.Writer

	mu      sync.Mutex
	cancels map[int]context.CancelFunc
}

// begin handles a request on a separate goroutine.
func (c *client) begin(ctx context.Context, r *wire.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.Do == wire.Cancel {
		if cancel := c.cancels[r.Of]; cancel != nil {
			cancel()
		}
		_ = c.out.Write(wire.Reply{ID: r.ID})
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	c.cancels[r.ID] = cancel
	go func() {
		defer cancel()
		reply := wire.Reply{ID: r.ID}
		result, err := c.do(ctx, r)
		if err == nil {
			reply.Result, err = json.Marshal(result)
		}
		if err != nil {
			reply.Error = describe(err)
		}
		_ = c.out.Write(reply) // a runner that reads no more has ended
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.cancels, r.ID)
	}()
}

func (c *client) do(ctx context.Context, r *wire.Request) (any, error) {
	args, err := members(r.Args)
	if err != nil {
		return nil, err
	}
	if r.Fill > 0 {
		args["text"] = oslorpc.Raw(`"` + strings.Repeat("x", r.Fill) + `"`)
	}
	if r.Context != nil {
		dict, err := members(r.Context)
		if err != nil {
			return nil, err
		}
		ctx = oslorpc.WithContext(ctx, dict)
	}
	to := c.transport.Client(oslorpc.Target{Topic: r.Topic, Server: r.Server, Version: r.Version}, options(r)...)
	switch r.Do {
	case wire.Call:
		return oslorpc.Call[oslorpc.Raw](ctx, to, r.Method, args)
	case wire.Cast:
		return nil, to.Cast(ctx, r.Method, args)
	case wire.Fanout:
		report, err := to.Fanout(ctx, r.Method, args)
		return accepted(report), err
	case wire.Gather:
		return gather(ctx, to, r.Method, args)
	case wire.Multicall:
		return multicall(ctx, to, r, args)
	default:
		return nil, errors.New("no such verb: " + r.Do)
	}
}

// members returns the members of a JSON object without decoding them, or none if object is nil.
func members(object json.RawMessage) (map[string]any, error) {
	texts := map[string]json.RawMessage{}
	if object != nil {
		if err := json.Unmarshal(object, &texts); err != nil {
			return nil, err
		}
	}
	found := map[string]any{}
	for name, text := range texts {
		found[name] = oslorpc.Raw(text)
	}
	return found, nil
}

func options(r *wire.Request) (list []oslorpc.ClientOption) {
	seconds := func(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }
	if r.Timeout > 0 {
		list = append(list, oslorpc.WithTimeout(seconds(r.Timeout)))
	}
	if r.Monitor > 0 {
		list = append(list, oslorpc.WithCallMonitorTimeout(seconds(r.Monitor)))
	}
	return list
}

func accepted(report *oslorpc.Report) []string {
	names := []string{}
	if report != nil {
		for _, a := range report.Accepted {
			names = append(names, a.Instance.Server)
		}
	}
	return names
}

func gather(ctx context.Context, to *oslorpc.Client, method string, args any) (map[string]oslorpc.Raw, error) {
	results := map[string]oslorpc.Raw{}
	for reply, err := range oslorpc.Gather[oslorpc.Raw](ctx, to, method, args) {
		if err != nil {
			return nil, err
		}
		results[reply.Instance.Server] = reply.Value
	}
	return results, nil
}

func multicall(ctx context.Context, to *oslorpc.Client, r *wire.Request, args any) ([]oslorpc.Raw, error) {
	items := []oslorpc.Raw{}
	for item, err := range oslorpc.Multicall[oslorpc.Raw](ctx, to, r.Method, args) {
		if err != nil {
			return nil, err
		}
		items = append(items, item)
		if len(items) == r.Take {
			break
		}
	}
	return items, nil
}

// describe describes an error.
func describe(err error) *wire.Error {
	d := &wire.Error{Kind: rpc.KindOf(err).Name(), Safe: rpc.SafeToRetry(err), Message: err.Error()}
	if e := new(rpc.Error); errors.As(err, &e) {
		d.Server = e.Server
	}
	if e := new(rpc.RemoteError); errors.As(err, &e) {
		d.Type, d.Text, d.Hops = e.Type, e.Message, e.Hops
	}
	if e := new(PortNotFound); errors.As(err, &e) {
		d.Class, d.Port = "PortNotFound", e.Port
	}
	return d
}
