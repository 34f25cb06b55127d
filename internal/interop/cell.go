package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/oslorpc/oslorpc/internal/interop/wire"
)

// These are the names of the servers.
const (
	serverA = "a"
	serverB = "b"
	serverC = "c"
)

// cell is one case with a client and a server.
type cell struct {
	run    *run
	client *client
	of     Cell
	// servers are the servers a and b of the topic that all cells of this server language share.
	servers servers
	// long are two other servers, a and b, which get only long calls.
	long servers
	// notes records what this cell sent, and how often each message must have run.
	notes []note
}

// note is a message that reports where it ran.
type note struct {
	text  string
	at    servers
	times int
}

// args are keyword arguments.
type args map[string]any

func (a args) encode() json.RawMessage {
	text, err := json.Marshal(map[string]any(a))
	if err != nil {
		panic(err) // they are written in this package
	}
	return text
}

// to returns a request to the shared servers.
func (c *cell) to(do, method string, a args) wire.Request {
	return wire.Request{Do: do, Topic: c.servers[0].topic, Method: method, Args: a.encode(), Timeout: 20}
}

// want sends a request and compares the result with JSON text.
func (c *cell) want(r wire.Request, want string) error {
	reply, err := c.client.do(r)
	if err != nil {
		return err
	}
	return compare(r.Do+" "+r.Method, reply, want)
}

// compare compares a reply with the expected result.
func compare(what string, reply *wire.Reply, want string) error {
	if reply.Error != nil {
		return fmt.Errorf("%s fails: %v", what, shown(reply.Error))
	}
	if !same(reply.Result, []byte(want)) {
		return fmt.Errorf("%s returns %.200s, want %.200s", what, reply.Result, want)
	}
	return nil
}

// same reports whether two JSON texts have the same value, with the same digits in all numbers.
func same(one, other []byte) bool {
	var values [2]any
	for i, text := range [][]byte{one, other} {
		in := json.NewDecoder(bytes.NewReader(text))
		in.UseNumber()
		if in.Decode(&values[i]) != nil {
			return false
		}
	}
	return reflect.DeepEqual(values[0], values[1])
}

// fails sends a request and compares the error with the expected one.
func (c *cell) fails(r wire.Request, want wire.Error) error {
	reply, err := c.client.do(r)
	if err != nil {
		return err
	}
	return c.failed(r.Do+" "+r.Method, reply, want)
}

// failed compares the error of a reply with the expected error: its kind, whether it is safe to
// send the message again, and the other fields that want sets.
func (c *cell) failed(what string, reply *wire.Reply, want wire.Error) error {
	if says := c.of.Client.says; says != nil {
		want = says(want, c.of.Server)
	}
	got := reply.Error
	if got == nil {
		return fmt.Errorf("%s returns %.200s, and should fail as %s", what, reply.Result, want.Kind)
	}
	if got.Message == "" || differ(got, &want) {
		return fmt.Errorf("%s fails as %s, want %s", what, shown(got), shown(&want))
	}
	return nil
}

// differ reports whether got differs from want. A field that is empty in want matches everything,
// except for Class, which must be equal.
func differ(got, want *wire.Error) bool {
	return got.Kind != want.Kind || got.Safe != want.Safe ||
		want.Server != "" && got.Server != want.Server ||
		want.Type != "" && got.Type != want.Type ||
		want.Text != "" && got.Text != want.Text ||
		want.Hops != nil && !slices.Equal(got.Hops, want.Hops) ||
		got.Class != want.Class || got.Port != want.Port
}

func shown(e *wire.Error) string {
	text, err := json.Marshal(e)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// newNote returns a note that no other message has. The message must run the given number of times
// on the given servers.
func (c *cell) newNote(times int, at servers) string {
	text := c.run.nextNote()
	c.notes = append(c.notes, note{text, at, times})
	return text
}

// onceMore checks, at the end of the run, that no message of the cell has run again.
func (c *cell) onceMore() error {
	for _, n := range c.notes {
		if ran := n.at.ran(n.text); len(ran) != n.times {
			return fmt.Errorf("a message ran %d times, want %d: [%s]", len(ran), n.times, strings.Join(ran, " "))
		}
	}
	return nil
}

// own starts servers only for this cell, with a separate topic. The caller kills them.
func (c *cell) own(ctx context.Context, topic string, names ...string) (servers, error) {
	topic = strings.Join([]string{topic, c.of.Client.Short, c.of.Server.Short}, "-")
	all, err := startServers(ctx, c.of.Server, c.run.urlOf(c.of.Server), topic, names...)
	if err != nil {
		servers(all).kill()
	}
	return all, err
}
