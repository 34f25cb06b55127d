package interop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oslorpc/oslorpc/internal/interop/program"
	"github.com/oslorpc/oslorpc/internal/interop/wire"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Case is a test that runs for every client with every server.
type Case struct {
	Name string

	check func(ctx context.Context, c *cell) error
	// long is true for a case that waits most of the time. Such cases run beside the others.
	long bool
}

const (
	mebibyte = 1 << 20
	tooMuch  = 17 * mebibyte
)

// Cases returns all cases.
func Cases() []Case {
	return []Case{
		{Name: "call", check: call},
		{Name: "cast", check: cast},
		{Name: "fanout", check: fanout},
		{Name: "gather", check: gather},
		{Name: "multicall", check: multicall},
		{Name: "pinned to a server", check: pinned},
		{Name: "remote error with class", check: remoteError},
		{Name: "unsupported version", check: unsupportedVersion},
		{Name: "no such method", check: noSuchMethod},
		{Name: "deadline", check: deadline},
		{Name: "cancellation", check: cancellation},
		{Name: "long calls across keepalives", check: longCalls, long: true},
		{Name: "big integer", check: bigInteger},
		{Name: "unicode", check: unicode},
		{Name: "1 MiB", check: large},
		{Name: "17 MiB refused", check: tooLarge},
		{Name: "server killed", check: killed},
		{Name: "server stopped under load", check: stopped},
	}
}

// call checks that a result comes back, that the request context arrives, and that the servers take
// turns.
func call(_ context.Context, c *cell) error {
	if err := c.want(c.to(wire.Call, "add", args{"a": 2, "b": 3}), `5`); err != nil {
		return err
	}
	r := c.to(wire.Call, "context", nil)
	r.Context = json.RawMessage(`{"user":"u","roles":["admin",null,1]}`)
	if err := c.want(r, string(r.Context)); err != nil {
		return err
	}
	return c.takeTurns()
}

// takeTurns makes pairs of calls until the two of a pair reach both servers. Earlier pairs may
// reach one server, because a client prefers a server that is connected and owes it no answer.
func (c *cell) takeTurns() error {
	for late := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		seen, err := c.reachedByTwo()
		if err != nil || len(seen) == 2 {
			return err
		}
		if time.Now().After(late) {
			return fmt.Errorf("for %v, calls reached only %v", patience, seen)
		}
	}
}

// reachedByTwo makes two calls and returns the servers that answered.
func (c *cell) reachedByTwo() (servers map[string]bool, err error) {
	seen := map[string]bool{}
	for range 2 {
		reply, err := c.client.do(c.to(wire.Call, "whoami", nil))
		if err != nil {
			return nil, err
		}
		if name := string(reply.Result); name != `"a"` && name != `"b"` {
			return nil, fmt.Errorf("a call returns %s %v, want the name of a server", name, reply.Error)
		}
		seen[string(reply.Result)] = true
	}
	return seen, nil
}

// cast checks that one server runs the method.
func cast(_ context.Context, c *cell) error {
	n := c.newNote(1, c.servers)
	if err := c.want(c.to(wire.Cast, "note", args{"note": n, "seconds": 0}), `null`); err != nil {
		return err
	}
	return c.servers.awaitRuns(n, 1)
}

// fanout checks that every server runs the method, and that the report names the servers, in any
// order.
func fanout(_ context.Context, c *cell) error {
	n := c.newNote(len(c.servers), c.servers)
	reply, err := c.client.do(c.to(wire.Fanout, "note", args{"note": n, "seconds": 0}))
	if err != nil {
		return err
	}
	var names []string
	if reply.Error != nil || json.Unmarshal(reply.Result, &names) != nil {
		return compare("fanout note", reply, `["a","b"]`)
	}
	slices.Sort(names)
	if !c.of.Client.is(oslo) && !slices.Equal(names, []string{serverA, serverB}) {
		return fmt.Errorf("the fanout reports that %v accepted it", names)
	}
	return c.servers.awaitRuns(n, len(c.servers))
}

// gather checks that there is a result from every server.
func gather(_ context.Context, c *cell) error {
	return c.want(c.to(wire.Gather, "whoami", nil), `{"a":"a","b":"b"}`)
}

// multicall checks that the items arrive in order.
func multicall(_ context.Context, c *cell) error {
	return c.want(c.to(wire.Multicall, "count", args{"n": 5}), `[1,2,3,4,5]`)
}

// pinned checks that only the named server runs the method, and that a server that does not exist
// is an error.
func pinned(_ context.Context, c *cell) error {
	r := c.to(wire.Call, "whoami", nil)
	for range 3 {
		r.Server = serverB
		if err := c.want(r, `"b"`); err != nil {
			return err
		}
	}
	r.Server, r.Timeout = "z", 2
	return c.fails(r, wire.Error{Kind: rpc.NoInstance.Name(), Safe: true})
}

// remoteError checks that a registered class arrives as this class with its attribute, and any
// other class with its text. Both errors name the server.
func remoteError(_ context.Context, c *cell) error {
	r := c.to(wire.Call, "missing", args{"port": 7})
	r.Server = serverA
	err := c.fails(r, wire.Error{
		Kind: rpc.Remote.Name(), Server: serverA, Hops: []string{serverA},
		Type: program.PortNotFoundType, Text: "no port 7", Class: "PortNotFound", Port: 7,
	})
	if err != nil {
		return err
	}
	r = c.to(wire.Call, "fail", args{"message": "größe"})
	r.Server = serverB
	return c.fails(r, wire.Error{Kind: rpc.Remote.Name(), Server: serverB, Hops: []string{serverB}, Text: "größe"})
}

func unsupportedVersion(_ context.Context, c *cell) error {
	r := c.to(wire.Call, "whoami", nil)
	for _, version := range []string{"1.3", "2.0"} {
		r.Version = version
		if err := c.fails(r, wire.Error{Kind: rpc.UnsupportedVersion.Name(), Safe: true}); err != nil {
			return fmt.Errorf("version %s: %w", version, err)
		}
	}
	r.Version, r.Server = "1.2", serverA
	return c.want(r, `"a"`)
}

func noSuchMethod(_ context.Context, c *cell) error {
	return c.fails(c.to(wire.Call, "nothing", nil), wire.Error{Kind: rpc.NoSuchMethod.Name(), Safe: true})
}

// deadline checks that the caller gets an error and that the method is canceled.
func deadline(_ context.Context, c *cell) error {
	n := c.run.nextNote()
	r := c.to(wire.Call, "sleep", args{"note": n, "seconds": 20})
	r.Server, r.Timeout = serverA, 1
	if err := c.fails(r, wire.Error{Kind: rpc.Timeout.Name(), Server: serverA}); err != nil {
		return err
	}
	return c.learns(c.servers[0], n)
}

// learns waits until the method reports that it was canceled. Servers of oslo.messaging are not
// told, so learns does not wait for them.
func (c *cell) learns(s *server, note string) error {
	if c.of.Server.is(oslo) {
		return nil
	}
	return s.await(wire.Event{Event: wire.Canceled, Note: note}, patience)
}

// cancellation cancels a call and stops reading a multicall, and checks that both methods are
// canceled.
func cancellation(_ context.Context, c *cell) error {
	if !c.of.Client.is(blocking) {
		if err := cancelCall(c); err != nil {
			return err
		}
	}
	if c.of.Server.is(oslo) {
		return nil
	}
	n := c.run.nextNote()
	r := c.to(wire.Multicall, "ticks", args{"note": n})
	r.Server, r.Take = serverB, 3
	if err := c.want(r, `[0,1,2]`); err != nil {
		return err
	}
	return c.learns(c.servers[1], n)
}

func cancelCall(c *cell) error {
	n := c.run.nextNote()
	r := c.to(wire.Call, "sleep", args{"note": n, "seconds": 20})
	r.Server, r.Timeout = serverA, 50
	o, err := c.client.begin(r)
	if err != nil {
		return err
	}
	if err := c.servers[0].await(wire.Event{Event: wire.Began, Note: n}, patience); err != nil {
		return err
	}
	if err := o.cancel(); err != nil {
		return err
	}
	reply, err := o.wait()
	if err != nil {
		return err
	}
	if err := c.failed("the canceled call", reply, wire.Error{Kind: rpc.Canceled.Name()}); err != nil {
		return err
	}
	return c.learns(c.servers[0], n)
}

// longSeconds is how long a long call takes. By then, a gRPC server with default options would have
// disconnected a client that sends keepalives every ten seconds.
const longSeconds = 60

// longCalls makes a monitored call, and a call that is not monitored, to a server that gets no
// other messages.
func longCalls(_ context.Context, c *cell) error {
	var both []*outstanding
	for i, monitor := range []float64{0, 25} {
		r := wire.Request{
			Do: wire.Call, Topic: c.long[i].topic, Server: c.long[i].short, Method: "sleep", Timeout: 2 * longSeconds, Monitor: monitor,
			Args: args{"note": c.run.nextNote(), "seconds": longSeconds}.encode(),
		}
		o, err := c.client.begin(r)
		if err != nil {
			return err
		}
		both = append(both, o)
	}
	for i, what := range []string{"the silent call", "the monitored call"} {
		reply, err := both[i].wait()
		if err == nil {
			err = compare(what, reply, `"slept"`)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bigInteger checks that integers that a float cannot represent arrive exactly, in both directions.
func bigInteger(_ context.Context, c *cell) error {
	const text = `{"a":9007199254740993,"b":-9223372036854775809,"c":1180591620717411303425,"d":[18446744073709551615],"e":0}`
	r := c.to(wire.Call, "echo", nil)
	r.Args = json.RawMessage(text)
	return c.want(r, text)
}

// unicode checks that text and names arrive unchanged.
func unicode(_ context.Context, c *cell) error {
	a := args{
		"text": "größe 🙂 e\u0301 \u6f22 \u2028\u2029 \x00\x7f\u0085 \"\\/ <&> \ufeff\uffff \U0010ffff",
		"dict": map[string]any{"ключ 🗝": "значение", "": "the empty name"},
	}
	return c.want(c.to(wire.Call, "echo", a), string(a.encode()))
}

func large(_ context.Context, c *cell) error {
	r := c.to(wire.Call, "echo", nil)
	r.Fill = mebibyte
	return c.want(r, `{"text":"`+strings.Repeat("x", mebibyte)+`"}`)
}

// tooLarge checks that arguments that are too large are refused before they are sent, that a result
// that is too large is an error, and that later messages still work.
func tooLarge(_ context.Context, c *cell) error {
	r := c.to(wire.Call, "echo", nil)
	r.Fill = tooMuch
	arguments := c.fails(r, wire.Error{Kind: rpc.TooLarge.Name(), Safe: true})
	result := c.fails(c.to(wire.Call, "blob", args{"size": tooMuch}), wire.Error{Kind: rpc.TooLarge.Name()})
	after := c.want(c.to(wire.Call, "add", args{"a": 1, "b": 1}), `2`)
	return errors.Join(arguments, result, after)
}
