package service

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/intake"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestEverythingAtOnce(t *testing.T) {
	t.Parallel()
	const callers, rounds = 8, 25
	servers := make([]*intake.Server, 2)
	for i := range servers {
		servers[i] = newServerOf(t, "q", fmt.Sprint("net", i), dispatch.Limits{Workers: 4, Queue: 1000, QueueBytes: 1 << 20}, dispatch.Endpoint{
			Namespaces: []string{""}, Version: rpc.DefaultVersion, Methods: methods{"echo": echo(), "many": items("1", "2", "3")},
		})
	}
	f := serve(t, servers...)
	var all sync.WaitGroup
	for caller := range callers {
		all.Go(func() {
			for round := range rounds {
				f.one(t, fmt.Sprintf(`{"n":%d}`, caller*rounds+round), fmt.Sprintf("%d.%d", caller, round))
			}
		})
	}
	all.Go(func() {
		for round := range 10 * rounds { // as servers come and go; there is always one
			f.intake.SetServers(servers[round%2:])
		}
	})
	all.Wait()
}

// one sends a message in each form.
func (f *fleet) one(t *testing.T, kwargs, id string) {
	t.Helper()
	call, err := f.Call(t.Context(), &pb.CallRequest{Message: &pb.Message{Target: to("q"), Method: "echo", Kwargs: asJSON(kwargs), Id: id}})
	if err != nil || call.GetResult().GetJson() != kwargs {
		t.Errorf("call: got %v, %v", call, err)
	}
	if _, err := f.Cast(t.Context(), &pb.CastRequest{Message: &pb.Message{Target: to("q"), Method: "echo", Id: id + " cast"}}); err != nil {
		t.Errorf("cast: %v", err)
	}
	all, err := f.multicall(t.Context(), &pb.MulticallRequest{Message: &pb.Message{Target: to("q"), Method: "many", Id: id + " multicall"}})
	if got := strings.Join(texts(t, all), " "); err != nil || got != "1 2 3" {
		t.Errorf("multicall: got %v, %v", got, err)
	}
	request := monitoredRequest(nil)
	request.Message.Method, request.Message.Kwargs = "echo", asJSON(kwargs)
	if _, response, err := f.monitored(t.Context(), request); err != nil || response.GetResult().GetJson() != kwargs {
		t.Errorf("monitored call: got %v, %v", response, err)
	}
	if _, err := f.GetInfo(t.Context(), &pb.GetInfoRequest{}); err != nil {
		t.Errorf("info: %v", err)
	}
}

func BenchmarkCall(b *testing.B) {
	f := serve(b, newServer(b, "q", "net1", methods{"echo": echo()}))
	m := &pb.CallRequest{Message: &pb.Message{Target: to("q"), Method: "echo", Kwargs: asJSON(sized(900))}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Call(b.Context(), m); err != nil {
			b.Fatal(err)
		}
	}
}
