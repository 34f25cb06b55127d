package static

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/oslorpc/oslorpc/internal/leak"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestMain(m *testing.M) { leak.Main(m) }

func at(exchange, topic, server, addr string) rpc.Instance {
	return rpc.Instance{Exchange: exchange, Topic: topic, Server: server, Addr: addr, State: rpc.StateActive}
}

func in(zone string, i rpc.Instance) rpc.Instance {
	i.Zone = zone
	return i
}

func open(t *testing.T, rest string) registry.Registry {
	t.Helper()
	r, err := Open(rest, rpc.DefaultExchange)
	if err != nil {
		t.Fatalf("Open(%q): %v", rest, err)
	}
	t.Cleanup(func() {
		if err := r.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return r
}

func TestOpen(t *testing.T) {
	for _, test := range []struct {
		rest string
		want []rpc.Instance
	}{
		{"compute=127.0.0.1:5000", []rpc.Instance{at("openstack", "compute", "", "127.0.0.1:5000")}},
		{"compute=a:1,compute=b:65535,compute/host1=a:1,q-plugin=[::1]:2", []rpc.Instance{
			at("openstack", "compute", "", "a:1"), at("openstack", "compute", "", "b:65535"),
			at("openstack", "compute", "host1", "a:1"), at("openstack", "q-plugin", "", "[::1]:2"),
		}},
		{"compute=a:1?", []rpc.Instance{at("openstack", "compute", "", "a:1")}},
		{"compute=a:1?", []rpc.Instance{at("openstack", "compute", "", "a:1")}},
		{"a%2Fb%2C%3D%3F%25+%C3%A9/host%2F1=a:1", []rpc.Instance{at("openstack", "a/b,=?%+é", "host/1", "a:1")}},
		{"größe/\u4e3b\u673a=host.example.org:1", []rpc.Instance{at("openstack", "größe", "\u4e3b\u673a", "host.example.org:1")}},
		{"compute=[fe80::1%eth0]:1", []rpc.Instance{at("openstack", "compute", "", "[fe80::1%eth0]:1")}},
		{"compute=a:1;zone=az1,compute/h=b:1;zone=%C3%A9%3B%2C%20x,compute=c:1", []rpc.Instance{
			in("az1", at("openstack", "compute", "", "a:1")), in("é;, x", at("openstack", "compute", "h", "b:1")), at("openstack", "compute", "", "c:1"),
		}},
		{"compute=unix:/run/a%3Bb;zone=az1", []rpc.Instance{in("az1", at("openstack", "compute", "", "unix:/run/a;b"))}},
		{"compute=xds:///fleet,compute/h=xds:///fleet,v=xds://west/fleet;zone=az1", []rpc.Instance{
			at("openstack", "compute", "", "xds:///fleet"), at("openstack", "compute", "h", "xds:///fleet"), in("az1", at("openstack", "v", "", "xds://west/fleet")),
		}},
		{"compute=unix:/run/a%2Cb", []rpc.Instance{at("openstack", "compute", "", "unix:/run/a,b")}},
	} {
		t.Run(test.rest, func(t *testing.T) {
			got, err := open(t, test.rest).List(t.Context())
			if err != nil || !registry.Same(got, test.want) {
				t.Errorf("got %+v, %v\nwant %+v", got, err, test.want)
			}
		})
	}
}

func TestOpenMalformed(t *testing.T) {
	for _, test := range []struct{ name, rest, want string }{
		{"nothing", "", "is not of the form"},
		{"no addresses", "?", "is not of the form"},
		{"a host without a topic", "127.0.0.1:5000", "is not of the form"},
		{"an empty entry", "a=b:1,,c=d:1", "is not of the form"},
		{"a comma at the end", "a=b:1,", "is not of the form"},
		{"no topic", "=b:1", "a topic is required"},
		{"no topic but a server", "/host1=b:1", "a topic is required"},
		{"no server after the slash", "a/=b:1", "one server name"},
		{"two slashes", "a/b/c=d:1", "%2F"},
		{"bad escape of a topic", "a%zz=b:1", `the topic in "a%zz=b:1"`},
		{"bad escape of a server", "a/%=b:1", "the server in"},
		{"not UTF-8", "%ff=b:1", "is not UTF-8"},
		{"control character", "a%00=b:1", "control characters"},
		{"long topic", strings.Repeat("x", 256) + "=b:1", "longer than 255"},
		{"no port", "a=b", "missing port"},
		{"no name for a control plane", "a=xds:///", "xds:///NAME"},
		{"a name for a control plane with a password", "a=xds://u:p@h/n", "xds:///NAME"},
		{"no host", "a=:1", "unspecified host"},
		{"every host", "a=0.0.0.0:1", "unspecified host"},
		{"a path", "a=b:1/", "number from 1 to 65535"},
		{"a path for a host", "a=b/c:1", "is not a host"},
		{"two equal signs", "a=b=c:1", "is not a host"},
		{"port 0", "a=b:0", "number from 1 to 65535"},
		{"port 65536", "a=b:65536", "number from 1 to 65535"},
		{"port by name", "a=b:http", "number from 1 to 65535"},
		{"bare IPv6", "a=::1:80", "too many colons"},
		{"no IPv6", "a=[b:c]:80", "is not a host"},
		{"relative unix socket", "a=unix:run/x", "absolute path"},
		{"twice", "a=b:1,c=d:1,a=b:1", "appears twice"},
		{"no zone", "a=b:1;zone=", "write topic=host:port;zone=NAME"},
		{"malformed zone", "a=b:1;zone=%zz", "the zone in"},
		{"control character in a zone", "a=b:1;zone=%00", "the zone in"},
		{"unknown property", "a=b:1;rack=1", "number from 1 to 65535"},
		{"unknown parameter", "a=b:1?exhange=x", `"exhange=x"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Open(test.rest, rpc.DefaultExchange)
			if !errors.Is(err, rpc.Invalid) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Open(%q): %v\nwant kind %q and text %q", test.rest, err, rpc.Invalid, test.want)
			}
		})
	}
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, "compute=a:1,compute/host1=b:1,other=c:1")
		for _, test := range []struct {
			topic registry.Topic
			want  []rpc.Instance
		}{
			{registry.Topic{Exchange: "openstack", Name: "compute"}, []rpc.Instance{
				at("openstack", "compute", "", "a:1"), at("openstack", "compute", "host1", "b:1"),
			}},
			{registry.Topic{Exchange: "nova", Name: "compute"}, nil},
			{registry.Topic{Exchange: "openstack", Name: "Compute"}, nil},
		} {
			var updates []registry.Update
			stop := r.Watch(test.topic, func(u registry.Update) { updates = append(updates, u) })
			// Other handles do not see a publication.
			if err := r.Publish(t.Context(), []rpc.Instance{at("openstack", "compute", "mine", "d:1")}); err != nil {
				t.Errorf("Publish: %v", err)
			}
			synctest.Wait()
			if len(updates) != 1 || updates[0].Err != nil || !registry.Same(updates[0].Instances, test.want) {
				t.Errorf("watch of %v: %+v\nwant one update with %+v", test.topic, updates, test.want)
			}
			stop()
		}
	})
}

// TestClose does not stop the watch before Close. Package leak checks that its goroutine ends.
func TestClose(t *testing.T) {
	r := open(t, "compute=a:1")
	stop := r.Watch(registry.Topic{Exchange: "openstack", Name: "compute"}, func(u registry.Update) { clear(u.Instances) })
	if err := r.Close(context.Background()); err != nil {
		t.Errorf("Close: %v", err)
	}
	stop()
}

func FuzzOpen(f *testing.F) {
	for _, seed := range []string{"", "compute=a:1", "a%2Fb/c=[::1]:2,x=unix:/y?", "a=b:1,,", "=:?"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, rest string) {
		instances, err := parse(rest, "z")
		if err != nil {
			if !errors.Is(err, rpc.Invalid) {
				t.Fatalf("error %v is not of kind %q", err, rpc.Invalid)
			}
			return
		}
		// Entries that were parsed and formatted again parse to the same entries.
		var entries []string
		for _, i := range instances {
			name := url.PathEscape(i.Topic)
			if i.Server != "" {
				name += "/" + url.PathEscape(i.Server)
			}
			entry := strings.NewReplacer("=", "%3D", ",", "%2C").Replace(name) + "=" + written(i.Addr)
			if i.Zone != "" {
				entry += zoneMark + strings.ReplaceAll(url.PathEscape(i.Zone), ",", "%2C")
			}
			entries = append(entries, entry)
		}
		again, err := parse(strings.Join(entries, ","), "z")
		if err != nil || !registry.Same(again, instances) {
			t.Fatalf("%q gave %+v, and again %+v, %v", rest, instances, again, err)
		}
	})
}

func written(addr string) string {
	if path, found := strings.CutPrefix(addr, "unix:"); found {
		return "unix:" + strings.NewReplacer(",", "%2C", ";", "%3B").Replace(url.PathEscape(path))
	}
	return addr
}

// A server on a topic in the URL must be at the address that the URL gives. Otherwise no message
// would reach it, and no error would say so.
func TestPublishElsewhere(t *testing.T) {
	r, err := Open("demo=127.0.0.1:7000,demo/v2=node2.example:7000,mesh=vip.example:80,file=unix:%2Frun%2Fs", "openstack")
	if err != nil {
		t.Fatal(err)
	}
	at := func(topic, addr string) rpc.Instance {
		return rpc.Instance{ID: "i", Exchange: "openstack", Topic: topic, Server: "s", Addr: addr}
	}
	for _, test := range []struct {
		instance rpc.Instance
		says     string // empty: it may start
	}{
		{at("demo", "127.0.0.1:7000"), ""},
		{at("demo", "10.0.0.2:7000"), ""}, // which may be node2.example
		{at("demo", "127.0.0.1:41234"), "it is at 127.0.0.1:41234"},
		{at("mesh", "10.0.0.2:7000"), "the transport URL has the topic at vip.example:80"},
		{at("mesh", "vip.example:80"), ""},
		{at("file", "unix:/run/s"), ""},
		{at("file", "unix:/run/t"), "WithListen"},
		{at("file", "127.0.0.1:80"), "WithAdvertise"},
		{at("other", "127.0.0.1:1"), ""}, // others may know it
	} {
		err := r.Publish(t.Context(), []rpc.Instance{at("other", "127.0.0.1:1"), test.instance})
		if test.says == "" && err != nil || test.says != "" && (!errors.Is(err, rpc.Invalid) || !strings.Contains(err.Error(), test.says)) {
			t.Errorf("%s at %s: %v, want %q", test.instance.Topic, test.instance.Addr, err, test.says)
		}
	}
}
