package carriertest

import (
	"context"
	"time"

	"github.com/oslorpc/oslorpc/internal/identity"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// testHeartbeats makes a monitored call that takes many times as long as the server may be silent.
func testHeartbeats(f *fixture) {
	f.connect()
	m := formOf(monitoredCall)
	r := m.request(wait, 0)
	r.Silence = time.Second
	begin := time.Now()
	a := f.begin(f.Context(), m, r)
	time.Sleep(20 * time.Second)
	close(f.server.goOn)
	items, err := a.end()
	f.wantItems(items, err, "done")
	if took := time.Since(begin); took != 20*time.Second {
		f.Errorf("it took %v", took)
	}
}

// testSilence cuts off a process that runs a monitored call.
func testSilence(f *fixture) {
	f.connect()
	m := formOf(monitoredCall)
	r := m.request(wait, 0)
	r.Silence = time.Second
	a := f.begin(f.Context(), m, r)
	f.wantStarted(1)
	f.Lose(address)
	begin := time.Now()
	_, err := a.end()
	f.want(err, rpc.MonitorTimeout, false)
	if took := time.Since(begin); took > time.Second {
		f.Errorf("it took %v", took)
	}
	f.Find(address)
	f.wantEnd(context.Canceled)
}

// testPing pings instances that are there, and others that are not.
func testPing(f *fixture) {
	f.connect()
	for _, test := range []struct {
		id  string
		why refusal.Reason // empty if it is there
	}{{"", ""}, {instance, ""}, {"b0." + name, refusal.Misdirected}, {bootID + ".gone", refusal.Stopping}} {
		err := f.ping(test.id)
		switch {
		case test.why != "":
			f.wantRefusal(err, test.why)
		case err != nil:
			f.Errorf("%q: %v", test.id, err)
		}
	}
	f.server.phase.Refuse()
	f.wantRefusal(f.ping(instance), refusal.Stopping)
}

func (f *fixture) ping(id string) error {
	f.Helper()
	ctx, cancel := withDeadline(f.Context())
	defer cancel()
	if err := f.link.Enter(ctx, 0); err != nil {
		f.Fatal(err)
	}
	defer f.link.Release()
	return f.link.Ping(ctx, identity.Server{}, id)
}

// testInfo asks a process for information about itself.
func testInfo(f *fixture) {
	f.connect()
	m := formOf(call)
	_, _ = f.send(f.Context(), m, m.request(answer, 0))
	for _, requests := range []bool{false, true} {
		info := f.info(topic, requests)
		if info.BootID != bootID || len(info.Servers) != 1 || info.Servers[0].InstanceID != instance {
			f.Fatalf("got %+v", info)
		}
		if n := len(info.Servers[0].Requests); (n > 0) != requests {
			f.Errorf("%d requests are counted, and it was asked for them: %v", n, requests)
		}
	}
	if info := f.info("other", false); len(info.Servers) != 0 {
		f.Errorf("on another topic: %+v", info)
	}
}

func (f *fixture) info(topic string, requests bool) *rpc.Info {
	f.Helper()
	ctx, cancel := withDeadline(f.Context())
	defer cancel()
	if err := f.link.Enter(ctx, 0); err != nil {
		f.Fatal(err)
	}
	defer f.link.Release()
	info, err := f.link.Info(ctx, identity.Server{Topic: topic}, "", requests)
	if err != nil {
		f.Fatal(err)
	}
	return info
}
