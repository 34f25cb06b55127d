package upgrade_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/oslorpc/oslorpc/examples/upgrade"
	"github.com/oslorpc/oslorpc/examples/upgrade/dynamic"
	"github.com/oslorpc/oslorpc/examples/upgrade/typed"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpctest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fleet is a fleet of servers of the given releases. Each server is named after its release.
func fleet(t *testing.T, releases string) *oslorpctest.Fleet {
	t.Helper()
	f := oslorpctest.New(t)
	for release := range strings.FieldsSeq(releases) {
		endpoints, err := dynamic.Endpoints(release)
		if err != nil {
			t.Fatal(err)
		}
		f.Serve(oslorpc.Target{Topic: upgrade.Topic, Server: release}, endpoints, typed.Service(release)...)
	}
	return f
}

// messages are the messages that clients of each release send, in both forms. "strict" is a message
// that older servers must not ignore.
func messages(t *oslorpc.Transport, limit string) map[string]map[string]func(context.Context) (upgrade.Answer, error) {
	options := []oslorpc.ClientOption{oslorpc.WithVersionAliases(upgrade.Releases), oslorpc.WithVersionCap(limit), oslorpc.WithFailFast(true)}
	d, d11, s := dynamic.NewClientAPI(t, options...), dynamic.NewClientAPI11(t, options...), typed.NewClientAPI(t, options...)
	return map[string]map[string]func(context.Context) (upgrade.Answer, error){
		"1.0": {
			"dynamic": func(ctx context.Context) (upgrade.Answer, error) { return d.MyRemoteMethod(ctx, "a", "b") },
			"typed":   func(ctx context.Context) (upgrade.Answer, error) { return s.MyRemoteMethod(ctx, "a", "b") },
		},
		"1.1": {
			"dynamic": func(ctx context.Context) (upgrade.Answer, error) { return d11.MyRemoteMethod2(ctx, "a") },
			"typed":   func(ctx context.Context) (upgrade.Answer, error) { return s.MyRemoteMethod2At11(ctx, "a") },
		},
		"1.2": {
			"dynamic": func(ctx context.Context) (upgrade.Answer, error) { return d.MyRemoteMethod2(ctx, "a", "b") },
			"typed":   func(ctx context.Context) (upgrade.Answer, error) { return s.MyRemoteMethod2(ctx, "a", "b") },
		},
		"strict": {
			"dynamic": func(ctx context.Context) (upgrade.Answer, error) { return d.MyRemoteMethod2Strict(ctx, "a", "b") },
			"typed":   func(ctx context.Context) (upgrade.Answer, error) { return s.MyRemoteMethod2Strict(ctx, "a", "b") },
		},
	}
}

// TestEveryCombination sends the newest message of each client to each fleet, with and without a
// cap. The outcome is the same in both forms. "at 1.1 b" means that the message ran at 1.1 with an
// arg2 of "b". "at 1.1" means that it ran on a server that does not know arg2.
func TestEveryCombination(t *testing.T) {
	unsupported, beyond := oslorpc.UnsupportedVersion.String(), oslorpc.VersionCapExceeded.String()
	for _, test := range []struct{ client, limit, fleet, want string }{
		// One release everywhere. my_remote_method exists since 1.0.
		{"1.0", "", "1.0", "at 1.0 b"},
		{"1.0", "", "1.1", "at 1.0 b"},
		{"1.0", "", "1.2", "at 1.0 b"},
		{"1.0", "", "2.0", "at 1.0 b"},
		// my_remote_method_2 exists since 1.1.
		{"1.1", "", "1.0", unsupported},
		{"1.1", "", "1.1", "at 1.1"},
		{"1.1", "", "1.2", "at 1.1 default"},
		{"1.1", "", "2.0", "at 1.1 default"},
		// Its arg2 exists since 1.2.
		{"1.2", "", "1.0", unsupported},
		{"1.2", "", "1.1", "at 1.1"},
		{"1.2", "", "1.2", "at 1.2 b"},
		{"1.2", "", "2.0", "at 1.2 b"},
		// A strict message must not be ignored.
		{"strict", "", "1.0", unsupported},
		{"strict", "", "1.1", unsupported},
		{"strict", "", "1.2", "at 1.2 b"},

		// In mixed fleets, a message goes to a server that can accept all of it, if there is one.
		{"1.0", "", "1.0 1.2", "at 1.0 b"},
		{"1.1", "", "1.0 1.1", "at 1.1"},
		{"1.1", "", "1.0 1.2", "at 1.1 default"},
		{"1.2", "", "1.0 1.1", "at 1.1"},
		{"1.2", "", "1.1 1.2", "at 1.2 b"},
		{"strict", "", "1.1 1.2", "at 1.2 b"},

		// With auto, clients send the form that all servers accept while there are old ones. auto
		// forbids nothing.
		{"1.2", "auto", "1.1", "at 1.1"},
		{"1.2", "auto", "1.1 1.2", "at 1.1 ?"},
		{"1.2", "auto", "1.2", "at 1.2 b"},
		{"1.2", "auto", "1.0 1.2", "at 1.1 default"},
		{"1.2", "auto", "1.0 1.1 1.2", "at 1.1 ?"},
		{"1.2", "auto", "1.0", unsupported},
		{"strict", "auto", "1.1 1.2", "at 1.2 b"},
		{"strict", "auto", "1.1", unsupported},

		// A fixed cap or the name of a release forbids later messages, whatever the servers
		// support.
		{"1.0", "1.1", "1.2", "at 1.0 b"},
		{"1.1", "1.1", "1.2", "at 1.1 default"},
		{"1.2", "1.1", "1.2", "at 1.1 default"},
		{"1.2", "caracal", "1.2", "at 1.1 default"},
		{"1.2", "dalmatian", "1.2", "at 1.2 b"},
		{"1.2", "dalmatian", "1.1", "at 1.1"},
		{"1.1", "bobcat", "1.2", beyond},
		{"1.2", "1.0", "1.2", beyond},
		{"strict", "1.1", "1.2", beyond},
		{"strict", "caracal", "1.1 1.2", beyond},
	} {
		t.Run(fmt.Sprintf("%s to %s with cap %s", test.client, test.fleet, test.limit), func(t *testing.T) {
			for form, send := range messages(fleet(t, test.fleet).Transport(), test.limit)[test.client] {
				got := outcome(send(t.Context()))
				if want, either := strings.CutSuffix(test.want, " ?"); got != test.want && (!either || !strings.HasPrefix(got, want)) {
					t.Errorf("%s: %s, want %s", form, got, test.want)
				}
			}
		})
	}
}

// outcome returns the outcome of a message in the words of the table.
func outcome(a upgrade.Answer, err error) string {
	if err != nil {
		return oslorpc.KindOf(err).String()
	}
	return strings.TrimSpace(fmt.Sprintf("at %s %s", a.Version, a.Arg2))
}

// TestOldServersDoNotKnowArg2 sends arg2 without the version 1.2 that it needs. Versions exist to
// prevent this mistake.
func TestOldServersDoNotKnowArg2(t *testing.T) {
	c := fleet(t, "1.1").Client(oslorpc.Target{Topic: upgrade.Topic, Version: "1.1"})
	_, err := oslorpc.Call[upgrade.Answer](t.Context(), c, "my_remote_method_2", dynamic.Args2{Arg1: "a", Arg2: oslorpc.Some("b")})
	if oslorpc.KindOf(err) != oslorpc.BadArguments || !strings.Contains(err.Error(), "arg2") {
		t.Errorf("got %v", err)
	}
}

// TestResultsMayGrow decodes the answer of a new server into the result type of a client that does
// not know arg2.
func TestResultsMayGrow(t *testing.T) {
	type answerAt11 struct {
		Server string `json:"server"`
	}
	c := fleet(t, "1.2").Client(oslorpc.Target{Topic: upgrade.Topic, Version: "1.1"})
	a, err := oslorpc.Call[answerAt11](t.Context(), c, "my_remote_method_2", dynamic.Args2At11{Arg1: "a"})
	if err != nil || a.Server != "1.2" {
		t.Errorf("got %v, %v", a, err)
	}
}

// TestBothMajors has clients of both major versions in a fleet that is halfway to 2.0.
func TestBothMajors(t *testing.T) {
	f := fleet(t, "1.2 2.0")
	transport := f.Transport()
	if a, err := dynamic.NewNextClientAPI(transport).MyRemoteMethod(t.Context(), 1, "b"); err != nil || a.Version != "2.0" || a.Server != "2.0" {
		t.Errorf("the new client: %v, %v", a, err)
	}
	old := dynamic.NewClientAPI(transport)
	for range 2 { // they take turns
		if a, err := old.MyRemoteMethod(t.Context(), "a", "b"); err != nil || a.Version != "1.0" || a.Arg2 != "b" {
			t.Errorf("the old client: %v, %v", a, err)
		}
	}
	if came := f.Messages(oslorpctest.At("2.0")); len(came) != 2 {
		t.Errorf("%d messages came to the new server, not one of each client", len(came))
	}
	f.Server("2.0").Stop()
	_, err := dynamic.NewNextClientAPI(transport, oslorpc.WithFailFast(true)).MyRemoteMethod(t.Context(), 1, "b")
	if kind := oslorpc.KindOf(err); kind != oslorpc.UnsupportedVersion && kind != oslorpc.NoInstance {
		t.Errorf("the new client among old servers: %v", err)
	}
}

// TestWhy asks both forms which server holds the cap down.
func TestWhy(t *testing.T) {
	transport := fleet(t, "1.1 1.2").Transport()
	for form, api := range map[string]interface {
		Why(ctx context.Context) (*oslorpc.CapReason, error)
	}{
		"dynamic": dynamic.NewClientAPI(transport, oslorpc.WithVersionCap("auto")),
		"typed":   typed.NewClientAPI(transport, oslorpc.WithVersionCap("auto")),
	} {
		r, err := api.Why(t.Context())
		if err != nil || r.Version.String() != "1.1" || len(r.Holders) != 1 || r.Holders[0].Server != "1.1" || r.Next == nil || r.Next.String() != "1.2" {
			t.Errorf("%s: %v, %v", form, r, err)
		}
	}
}
