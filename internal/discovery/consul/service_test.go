package consul

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func example() rpc.Instance {
	return rpc.Instance{
		ID: "I", BootID: "B", Exchange: "nova", Topic: "compute", Server: "host1", Addr: "127.0.0.1:5000", State: rpc.StateActive,
		Implemented: []rpc.Implementation{{Version: rpc.Version{Major: 6, Minor: 4}}, {Namespace: "base", Version: rpc.Version{Major: 1}}},
	}
}

// entry returns the entry that Consul returns for a service.
func entry(s *api.AgentServiceRegistration) *api.ServiceEntry {
	return &api.ServiceEntry{Service: &api.AgentService{ID: s.ID, Service: s.Name, Meta: s.Meta, Address: s.Address, Port: s.Port}}
}

// roundTrip converts an instance to a service in Consul and back.
func roundTrip(t *testing.T, i rpc.Instance) rpc.Instance {
	t.Helper()
	s, err := instanceService(i, newIDs(i.ID), "P")
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Meta) > 64 {
		t.Errorf("%d pairs of metadata, of which Consul takes 64", len(s.Meta))
	}
	for key, value := range s.Meta {
		if len(value) > 512 {
			t.Errorf("%s has %d bytes, of which Consul takes 512", key, len(value))
		}
	}
	got, err := instanceOf(entry(s))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestRoundTrip(t *testing.T) {
	long, ipv6 := example(), example()
	for n := range 280 {
		name := fmt.Sprintf("%d, %s", n, strings.Repeat("ß", n%30))
		long.Implemented = append(long.Implemented, rpc.Implementation{Namespace: name, Version: rpc.Version{Major: 1, Minor: uint32(n)}})
	}
	ipv6.Addr, ipv6.Server, ipv6.Exchange, ipv6.Topic, ipv6.Implemented = "[::1]:65535", "", "", "größe/ящик 🙂", nil
	for _, i := range []rpc.Instance{example(), long, ipv6} {
		if got := roundTrip(t, i); !got.Equal(i) {
			t.Errorf("got %+v, want %+v", got, i)
		}
	}
}

func TestUnpublishable(t *testing.T) {
	p := newPublisher(&client{}, time.Second, nil)
	for want, spoil := range map[string]func(list []rpc.Instance){
		"local://":           func(list []rpc.Instance) { list[0].Addr = "unix:/run/x" },
		"missing port":       func(list []rpc.Instance) { list[0].Addr = "host" },
		"65535":              func(list []rpc.Instance) { list[0].Addr = "host:0" },
		`write "h:80"`:       func(list []rpc.Instance) { list[0].Addr = "[h]:080" },
		"from 1":             func(list []rpc.Instance) { list[0].Addr = "host:http" },
		"unspecified host":   func(list []rpc.Instance) { list[0].Addr = ":80" },
		"an unspecified":     func(list []rpc.Instance) { list[0].Addr = "[::]:80" },
		"one boot id":        func(list []rpc.Instance) { list[1].BootID = "other" },
		"one address":        func(list []rpc.Instance) { list[1].Addr = "127.0.0.1:1" },
		"must have an id":    func(list []rpc.Instance) { list[1].ID = "" },
		"and a boot id":      func(list []rpc.Instance) { list[0].BootID, list[1].BootID = "", "" },
		`has the id "I" too`: func(list []rpc.Instance) { list[1].ID = "I" },
		"has room for 28672": func(list []rpc.Instance) {
			list[0].Implemented = []rpc.Implementation{{Namespace: strings.Repeat("x", 30_000)}}
		},
	} {
		list := []rpc.Instance{example(), example()}
		list[1].ID = "J"
		spoil(list)
		if err := p.publish(t.Context(), list); !errors.Is(err, rpc.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error of kind %q with %q", err, rpc.Invalid, want)
		}
	}
}

// A service without an address has the address of its node.
func TestAddressOfNode(t *testing.T) {
	s, err := instanceService(example(), newIDs("I"), "P")
	must(t, err)
	e := entry(s)
	e.Service.Address, e.Node = "", &api.Node{Address: "10.0.0.7"}
	if i, err := instanceOf(e); err != nil || i.Addr != "10.0.0.7:5000" {
		t.Errorf("it is at %q, %v", i.Addr, err)
	}
}

func TestHealth(t *testing.T) {
	maintenance := &api.HealthCheck{CheckID: api.NodeMaint, Status: api.HealthCritical}
	warning, critical := &api.HealthCheck{Status: api.HealthWarning}, &api.HealthCheck{Status: api.HealthCritical}
	for _, test := range []struct {
		checks            api.HealthChecks
		alive, maintained bool
	}{
		{nil, true, false},
		{api.HealthChecks{nil, {Status: api.HealthPassing}}, true, false},
		{api.HealthChecks{warning}, true, false},
		{api.HealthChecks{warning, maintenance}, true, true},
		{api.HealthChecks{warning, critical}, false, false},
	} {
		if alive, maintained := health(test.checks); alive != test.alive || maintained != test.maintained {
			t.Errorf("%v: alive %t, in maintenance %t", test.checks, alive, maintained)
		}
	}
}

func TestIncomprehensible(t *testing.T) {
	for _, spoil := range []func(s *api.AgentServiceRegistration){
		func(s *api.AgentServiceRegistration) { clear(s.Meta) },
		func(s *api.AgentServiceRegistration) { delete(s.Meta, metaTopic) },
		func(s *api.AgentServiceRegistration) { delete(s.Meta, metaInstance) },
		func(s *api.AgentServiceRegistration) { delete(s.Meta, metaBoot) },
		func(s *api.AgentServiceRegistration) { s.Meta[metaVersions+"0"] = "base" },
		func(s *api.AgentServiceRegistration) { s.Meta[metaVersions+"0"] = "=1" },
		func(s *api.AgentServiceRegistration) { s.Meta[metaVersions+"0"] = "%=1.0" },
		func(s *api.AgentServiceRegistration) { s.Meta[metaVersions+"1"] = "," },
		func(s *api.AgentServiceRegistration) { s.Port = 0 },
		func(s *api.AgentServiceRegistration) { s.Port = 65_536 },
		func(s *api.AgentServiceRegistration) { s.Port = -1 },
		func(s *api.AgentServiceRegistration) { s.Address = "" }, // and the node is not known
		func(s *api.AgentServiceRegistration) { s.Address = "http://host" },
	} {
		s, err := instanceService(example(), newIDs("I"), "P")
		if err != nil {
			t.Fatal(err)
		}
		spoil(s)
		if i, err := instanceOf(entry(s)); err == nil {
			t.Errorf("%+v was understood as %+v", s, i)
		}
	}
}

func FuzzSplitAddr(f *testing.F) {
	for _, addr := range []string{"host:1", "[::1]:65535", "[fe80::1%eth0]:80", "127.0.0.1:080", "[h]:80", "unix:/x", ":80", "[::]:1"} {
		f.Add(addr)
	}
	f.Fuzz(func(t *testing.T, addr string) {
		i := example()
		i.Addr = addr
		if _, _, err := splitAddr(addr); err != nil {
			if !errors.Is(err, rpc.Invalid) {
				t.Errorf("%v, want an error of kind %q", err, rpc.Invalid)
			}
		} else if got := roundTrip(t, i); got.Addr != addr {
			t.Errorf("got %q, want %q", got.Addr, addr)
		}
	})
}

func FuzzVersions(f *testing.F) {
	f.Add("=1.4,base=1.0.2,a%2Cb=2.0", "")
	f.Add("=1.4,ba", "se=1.0")
	f.Add("", "=1.0")
	f.Fuzz(func(t *testing.T, first, second string) {
		list, err := versions(map[string]string{metaVersions + "0": first, metaVersions + "1": second})
		if err != nil {
			return
		}
		i := example()
		i.Implemented = list
		if len(first)+len(second) < 8_000 { // Written again, each byte takes three at most.
			if got := roundTrip(t, i); !got.Equal(i) {
				t.Errorf("got %+v, want %+v", got, i)
			}
		}
	})
}
