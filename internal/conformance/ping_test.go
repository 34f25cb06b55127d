package conformance

import (
	"testing"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

const (
	alwaysAnswered = "upstream's explicit policy hides the ping method that its own option adds; here no policy does"
	anyVersion     = "upstream's ping is of version 1.0, so that clients of other versions cannot ping; here it answers to any"
	changesNothing = "upstream's ping is an endpoint of version 1.0, which other messages of that version may reach; here ping does not affect other messages"
)

func TestPing(t *testing.T) {
	type test struct {
		row

		policy    oslorpc.AccessPolicy
		endpoints func(*witness) []oslorpc.Endpoint
		message   message
		want      outcome
	}
	none := func(*witness) []oslorpc.Endpoint { return nil }
	of := func(endpoint oslorpc.Endpoint, method string) func(*witness) []oslorpc.Endpoint {
		return func(w *witness) []oslorpc.Endpoint {
			endpoint.Methods = w.methods("own", method)
			return []oslorpc.Endpoint{endpoint}
		}
	}
	other, own := of(oslorpc.Endpoint{}, "foo"), of(oslorpc.Endpoint{}, oslorpc.PingMethod)
	ping, pong := message{method: oslorpc.PingMethod}, outcome{result: `"pong"`}
	each(t, "PG", 6, nil, []test{
		{row{id: "PG1"}, public, none, ping, pong},
		{row{id: "PG2"}, public, own, ping, calls("own." + oslorpc.PingMethod)},
		{row{id: "PG3"}, public, other, message{method: oslorpc.PingMethod, args: `{"any":1}`}, pong},
		{row{"PG4a", anyVersion}, public, other, message{method: oslorpc.PingMethod, version: "1.1"}, pong},
		{row{"PG4b", anyVersion}, public, other, message{method: oslorpc.PingMethod, version: "2.0"}, pong},
		{row{id: "PG4c"}, public, other, message{method: oslorpc.PingMethod, namespace: "x"}, unsupported("1.0")},
		{row{"PG5", alwaysAnswered}, exposed, other, ping, pong},
		{row{"PG6", changesNothing}, public, of(oslorpc.Endpoint{Version: "2.0"}, "foo"), message{method: "x", version: "1.0"}, unsupported("1.0")},
	}, func(t *testing.T, test test) {
		w := &witness{}
		server, err := serve(t, append(policy(test.policy), oslorpc.WithPing()), test.endpoints(w)...)
		if err != nil {
			t.Fatal(err)
		}
		test.want.check(t, w, server.ask(t, test.message))
	})
}
