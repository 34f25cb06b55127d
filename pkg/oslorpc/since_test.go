package oslorpc_test

import (
	"testing"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

func TestInfoTellsSinceWhenAndWhatIsDeprecated(t *testing.T) {
	s := serve(t, "node1", oslorpc.Endpoint{
		Version: "1.4", Since: "1.1", Deprecated: "1.4", Fallback: namesItself.Deprecated("1.2"),
		Methods: map[string]oslorpc.Method{
			"marked": says("x").Deprecated("1.3").Expose().Since("1.2"),
			"plain":  says("x"),
		},
	}, oslorpc.Endpoint{Version: "2.1", Struct: oslorpc.Methods(guarded{}).
		Since("2.1", "Open").
		Deprecated("2.1", "Open")})
	wantAnswers(t, client(t), map[string]string{"marked": "x"}) // at 1.0: a mark decides nothing
	i, _ := s.Instance()
	info, err := open(t).Info(t.Context(), i)
	if err != nil {
		t.Fatal(err)
	}
	endpoints := info.Servers[0].Endpoints
	if e := endpoints[0]; e.Since.String() != "1.1" || e.DeprecatedSince.String() != "1.4" || e.Fallback.DeprecatedSince.String() != "1.2" {
		t.Errorf("got %v", e)
	}
	want := map[string]string{"marked": "1.2 1.3", "plain": "0.0 0.0", "open": "2.1 2.1"}
	for _, e := range endpoints {
		for _, m := range e.Methods {
			if w, listed := want[m.Name]; listed && m.Since.String()+" "+m.DeprecatedSince.String() != w {
				t.Errorf("%s: got %v", m.Name, m)
			}
		}
	}
}

func TestMarksThatDoNotFit(t *testing.T) {
	foo := says("x")
	with := func(m oslorpc.Method) oslorpc.Endpoint {
		return oslorpc.Endpoint{Version: "1.3", Methods: map[string]oslorpc.Method{"foo": m}}
	}
	for text, e := range map[string]oslorpc.Endpoint{
		"Since: version \"1\" is malformed":                   with(foo.Since("1")),
		"Deprecated: version \"\" is malformed":               with(foo.Deprecated("")),
		"Since is version 0.0":                                with(foo.Since("0.0").Expose()),
		"Since is 1.4, but the endpoint implements 1.3":       with(foo.Since("1.4")),
		"Deprecated is 2.0, but the endpoint implements 1.3":  with(foo.Deprecated("2.0")),
		"Deprecated is 1.1, which is earlier than Since, 1.2": with(foo.Deprecated("1.1").Since("1.2")),
		"Func was given nil":                                  with(oslorpc.Func[oslorpc.NoArgs, any](nil).Since("x")),
		"fallback of endpoint":                                {Fallback: foo.Since("1.1")},
		"endpoint \"n\": invalid use: Since is 1.1":           {Namespace: "n", Since: "1.1"},
		"endpoint \"n\": invalid use: Deprecated: version":    {Namespace: "n", Deprecated: "x"},
	} {
		s := open(t).Server(oslorpc.Target{Topic: "agents", Server: "net1"})
		s.Add(e)
		err := s.Start(t.Context())
		wantKind(t, err, oslorpc.Invalid, true)
		wantText(t, err, text)
	}
}
