package novarpc_test

import (
	"context"
	"testing"

	"github.com/oslorpc/oslorpc/examples/nova-rpc/novarpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

type uncomparable struct{ _ []int }

func (uncomparable) Method(context.Context) error { return nil }

type hidden struct{}

func (*hidden) Method(context.Context) error { return nil }

func TestBadConsumers(t *testing.T) {
	t.Parallel()
	r := open(t)
	m := newManager("m")
	topic := novarpc.Topic("compute")
	for _, test := range []struct {
		name   string
		host   string
		queue  novarpc.Queue
		proxy  any
		fanout bool
		kind   oslorpc.Kind
		says   string
	}{
		{"no host", "", topic, m, false, oslorpc.Invalid, "CreateConnection"},
		{"no topic", "host", novarpc.Queue{}, m, false, oslorpc.Invalid, "Topic or QueueGetFor"},
		{"malformed topic", "host", novarpc.Topic("a\nb"), m, false, oslorpc.InvalidTarget, "control characters"},
		{"malformed host", "a\nb", topic, m, false, oslorpc.InvalidTarget, "control characters"},
		{"another host", "host", novarpc.QueueGetFor("compute", "other"), m, false, oslorpc.Invalid, `"other"`},
		{"fanout to a host", "host", novarpc.QueueGetFor("compute", "host"), m, true, oslorpc.Invalid, `Topic("compute")`},
		{"no proxy", "host", topic, nil, false, oslorpc.Invalid, "nil"},
		{"a proxy that cannot be compared", "host", topic, uncomparable{}, false, oslorpc.Invalid, "pointer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			conn := r.CreateConnection(test.host)
			defer closeConn(t, conn)
			wantError(t, conn.CreateConsumer(test.queue, test.proxy, test.fanout), test.kind, test.says)
			wantError(t, conn.ConsumeInThread(t.Context()), oslorpc.Invalid, "create a consumer first")
		})
	}
}

func TestProxyWithoutMethods(t *testing.T) {
	t.Parallel()
	conn := open(t).CreateConnection("host")
	defer closeConn(t, conn)
	if err := conn.CreateConsumer(novarpc.Topic("compute"), hidden{}, false); err != nil {
		t.Fatal(err)
	}
	wantError(t, conn.ConsumeInThread(t.Context()), oslorpc.Invalid, "hidden): no exported method looks like func(ctx, struct) (R, error)")
}

func TestSecondConsumer(t *testing.T) {
	t.Parallel()
	conn := open(t).CreateConnection("host")
	m := newManager("m")
	if err := conn.CreateConsumer(novarpc.Topic("compute"), m, false); err != nil {
		t.Fatal(err)
	}
	wantError(t, conn.CreateConsumer(novarpc.Topic("compute"), m, false), oslorpc.Invalid, "already")
	wantError(t, conn.CreateConsumer(novarpc.Topic("compute"), newManager("other"), true), oslorpc.Invalid, "different proxies")
	if err := conn.CreateConsumer(novarpc.Topic("other"), newManager("other"), false); err != nil {
		t.Errorf("another topic may have another proxy: %v", err)
	}
	if err := conn.ConsumeInThread(t.Context()); err != nil {
		t.Errorf("a topic without the two other consumers: %v", err)
	}
	closeConn(t, conn)
}

// A consumer whose parameters are incomplete is refused, since it would get messages that it did
// not ask for.
func TestIncompleteConsumers(t *testing.T) {
	t.Parallel()
	r := open(t)
	m := newManager("m")
	for _, test := range []struct {
		name   string
		queues []novarpc.Queue
		fanout bool
		says   string
	}{
		{"a host without its topic", []novarpc.Queue{novarpc.QueueGetFor("compute", "host")}, false, `Topic("compute")`},
		{"a fanout without its topic", []novarpc.Queue{novarpc.Topic("compute")}, true, `Topic("compute")`},
		{
			"a host in the name of a topic", []novarpc.Queue{novarpc.Topic("compute.host"), novarpc.Topic("compute")}, false,
			`QueueGetFor("compute", "host")`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			conn := r.CreateConnection("host")
			defer closeConn(t, conn)
			for _, q := range test.queues {
				if err := conn.CreateConsumer(q, m, test.fanout); err != nil {
					t.Fatal(err)
				}
			}
			wantError(t, conn.ConsumeInThread(t.Context()), oslorpc.Invalid, test.says)
		})
	}
}
