//go:build unix

package main

import (
	"encoding/json"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/instances"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
)

// What callers send reaches the journal and the log of a server, and the output of other commands,
// without control characters.
func TestHostileCallers(t *testing.T) {
	t.Parallel()
	for _, form := range []string{"text", "json"} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			f.serve("node1", "--output", form)
			sendPoison(t, f)
			f.ok("call", "demo", "echo", "text=done")
			f.find(1, "node1", "done")
			poisoned := 0
			for _, l := range f.output.Lines() {
				wantHarmless(t, l.Text)
				poisoned += strings.Count(l.Text, "poison")
			}
			if poisoned < 4 {
				t.Errorf("the server printed the poison %d times only: %q", poisoned, f.output.Lines())
			}
			for _, line := range []string{"info demo", "deprecations demo --all", "upgrade check demo --to 9.0"} {
				r := f.run(append(strings.Fields(line), "--output", form)...)
				wantHarmless(t, r.out+r.errs)
			}
		})
	}
}

// sendPoison sends poison in every part of a message to a server of a fleet.
func sendPoison(t *testing.T, f *fleet) {
	t.Helper()
	list := parse[[]instances.Document](t, f.ok("ls", "--output", "json").out)
	conn, err := grpc.NewClient(list[0].Address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithUserAgent("caller\u009b\u202e"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := pb.NewRPCServiceClient(conn)
	quoted, err := json.Marshal(poison)
	if err != nil {
		t.Fatal(err)
	}
	kwargs := func(text string) *pb.Payload { return &pb.Payload{Encoding: &pb.Payload_Json{Json: text}} }
	message := func(change func(*pb.Message)) *pb.Message {
		m := &pb.Message{
			Target: &pb.Target{Exchange: new("openstack"), Topic: new("demo"), Server: new("node1"), Version: new("1.0")},
			Method: "echo", Kwargs: kwargs(`{"text":` + string(quoted) + `}`), Context: kwargs(`{` + string(quoted) + `:1}`),
			Id: "id-1", InstanceId: list[0].InstanceID,
		}
		change(m)
		return m
	}
	for n, change := range []func(*pb.Message){
		func(*pb.Message) {},
		func(m *pb.Message) { m.Id = poison },
		func(m *pb.Message) { m.Method = poison },
		func(m *pb.Message) { m.Method = "nosuch" },
		func(m *pb.Message) { m.Target.Namespace = new(poison) },
		func(m *pb.Message) { m.Target.Server = new(poison) },
		func(m *pb.Message) { m.Target.Version = new(poison) },
		func(m *pb.Message) { m.OrderKey = poison },
		func(m *pb.Message) { m.InstanceId = poison },
		func(m *pb.Message) { m.Metadata = map[string]string{poison: poison} },
		func(m *pb.Message) { m.Kwargs = kwargs(poison) },
		func(m *pb.Message) { m.Context = kwargs(poison) },
		func(m *pb.Message) { m.Method, m.Kwargs = "add", kwargs(`{"a":`+string(quoted)+`,"b":1}`) },
		func(m *pb.Message) { m.Method, m.Kwargs = "whoami", kwargs(`{`+string(quoted)+`:1}`) },
		func(m *pb.Message) { m.Method, m.Kwargs = "fail", kwargs(`{"message":`+string(quoted)+`}`) },
		func(m *pb.Message) {
			m.Method, m.Kwargs = "fail", kwargs(`{"panic":true,"message":`+string(quoted)+`}`)
		},
	} {
		ctx := t.Context()
		if _, err := client.Call(ctx, &pb.CallRequest{Message: message(change)}); n == 0 && err != nil {
			t.Errorf("a message that the server should run: %v", err)
		}
		_, _ = client.Cast(ctx, &pb.CastRequest{Message: message(change)}) // most are refused
	}
}
