package registry_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// fixed is a registry with instances that do not change.
type fixed struct{ instances []rpc.Instance }

func (fixed) Publish(context.Context, []rpc.Instance) error {
	return errors.New("addresses are fixed: add the server to the URL")
}

func (f fixed) List(context.Context) ([]rpc.Instance, error) { return f.instances, nil }

func (f fixed) Watch(topic registry.Topic, notify func(registry.Update)) (stop func()) {
	w := registry.StartWatch(notify)
	var there []rpc.Instance
	for _, i := range f.instances {
		if i.Exchange == topic.Exchange && i.Topic == topic.Name {
			there = append(there, i)
		}
	}
	w.Send(registry.Update{Instances: there})
	return w.Stop
}

func (fixed) Close(context.Context) error { return nil }

// Programs select a registry by the scheme of the transport URL, once the package that registers it
// is imported.
func ExampleRegister() {
	registry.Register("hosts", func(url string, c registry.Config) (registry.Registry, error) {
		var f fixed
		for host := range strings.SplitSeq(strings.TrimPrefix(url, "hosts://"), ",") {
			f.instances = append(f.instances, rpc.Instance{
				Exchange: c.Exchange, Topic: "agents", Server: host, Addr: host + ":7000", State: rpc.StateActive,
			})
		}
		return f, nil
	})

	t, err := oslorpc.Open("hosts://net1,net2")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer t.Close()
	list, err := t.Instances(context.Background())
	for _, i := range list {
		fmt.Println(i.Server, i.Addr)
	}
	fmt.Println(err)
	// Output:
	// net1 net1:7000
	// net2 net2:7000
	// <nil>
}

// A watch delivers changes on a separate goroutine. After Stop, nothing arrives.
func ExampleStartWatch() {
	var told sync.WaitGroup
	told.Add(1)
	w := registry.StartWatch(func(u registry.Update) {
		fmt.Println(len(u.Instances), u.Err)
		told.Done()
	})
	w.Send(registry.Update{Instances: []rpc.Instance{{Topic: "agents", Server: "net1", Addr: "net1:7000"}}})
	told.Wait()
	w.Stop()
	w.Send(registry.Update{})
	// Output:
	// 1 <nil>
}
