package interceptor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
	"github.com/oslorpc/oslorpc/pkg/interceptor"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

var epoxy = interceptor.WithVersionAliases(map[string]string{"epoxy": "1.1", "dalmatian": "1.0"})

// TestCapDecidesWhatIsSent checks which messages are sent, at which version, and without which
// fields.
func TestCapDecidesWhatIsSent(t *testing.T) {
	t.Parallel()
	plain := &v1.CreateVolumeRequest{Name: "a"}
	described := &v1.CreateVolumeRequest{Name: "a", Description: "d", Weight: new(int32)}
	tagged := &v1.CreateVolumeRequest{Name: "a", Tags: []string{"t"}}
	for _, test := range []struct {
		cap, version, description string
		weight, refused           bool
		request                   *v1.CreateVolumeRequest
	}{
		{cap: "", version: "1.0", request: plain},
		{cap: "1.0", version: "1.0", request: plain},
		{cap: "", version: "1.2", description: "d", weight: true, request: described},
		{cap: "1.2", version: "1.2", description: "d", weight: true, request: described},
		{cap: "epoxy", version: "1.1", description: "d", request: described},
		{cap: "dalmatian", version: "1.0", request: described},
		{cap: "", version: "1.2", request: tagged},
		{cap: "epoxy", refused: true, request: tagged},
		{cap: "2.0", refused: true, request: plain},
	} {
		t.Run(fmt.Sprint(test.cap, test.request), func(t *testing.T) {
			t.Parallel()
			service, conn := start(t, both(), with(epoxy, interceptor.WithVersionCap(test.cap)))
			_, err := v1.NewInventoryServiceClient(conn).CreateVolume(t.Context(), test.request)
			if test.refused {
				check(t, err, rpc.VersionCapExceeded, codes.FailedPrecondition)
				if service.calls != 0 || !rpc.SafeToRetry(err) {
					t.Errorf("%d calls arrived, %v", service.calls, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(service.headers["oslorpc-version"], " "); got != test.version {
				t.Errorf("the version is %q, want %q", got, test.version)
			}
			if c := service.created; c.GetDescription() != test.description || (c.Weight != nil) != test.weight {
				t.Errorf("got %v", c)
			}
		})
	}
}

func TestCapNamesWhatExceedsIt(t *testing.T) {
	t.Parallel()
	service, conn := start(t, nil, with(epoxy, interceptor.WithVersionCap("epoxy")))
	client := v1.NewInventoryServiceClient(conn)
	_, err := client.CreateVolume(t.Context(), &v1.CreateVolumeRequest{Placement: &v1.Placement{Rack: "r"}})
	_, methodErr := client.SnapshotVolume(t.Context(), &v1.SnapshotVolumeRequest{})
	for _, test := range []struct {
		err   error
		words []string
	}{{err, []string{"placement.rack", "1.2", "epoxy (1.1)"}}, {methodErr, []string{"SnapshotVolume", "the method", "1.2", "epoxy (1.1)"}}} {
		check(t, test.err, rpc.VersionCapExceeded, codes.FailedPrecondition)
		for _, w := range test.words {
			if !strings.Contains(test.err.Error(), w) {
				t.Errorf("%v does not say %q", test.err, w)
			}
		}
	}
	if service.calls != 0 {
		t.Error("the network was used")
	}
}

func TestServerRefusesWhatItDoesNotImplement(t *testing.T) {
	t.Parallel()
	table := func(versions ...string) interceptor.ServerOption {
		var list []interceptor.Implementation
		for _, v := range versions {
			list = append(list, interceptor.Implementation{Namespace: "volumes", Version: v})
		}
		return interceptor.WithImplemented(list...)
	}
	old := interceptor.WithImplemented(interceptor.Implementation{Namespace: "volumes", Version: "1.1"})
	for name, test := range map[string]struct {
		option  interceptor.ServerOption
		headers []string
		want    rpc.Kind
		code    codes.Code
		words   string
	}{
		"the options' version":   {nil, []string{"oslorpc-version", "1.2"}, 0, codes.OK, ""},
		"later than the options": {nil, []string{"oslorpc-version", "1.3"}, rpc.UnsupportedVersion, codes.FailedPrecondition, "1.3"},
		"another major":          {nil, []string{"oslorpc-version", "2.0"}, rpc.UnsupportedVersion, codes.FailedPrecondition, "2.0"},
		"later than the table":   {old, []string{"oslorpc-version", "1.2"}, rpc.UnsupportedVersion, codes.FailedPrecondition, "implements 1.1"},
		"several majors":         {table("2.1", "1.2"), []string{"oslorpc-version", "1.2"}, 0, codes.OK, ""},
		"not in the table":       {interceptor.WithImplemented(), nil, rpc.UnsupportedVersion, codes.FailedPrecondition, "nothing"},
		"a later method":         {old, nil, rpc.NoSuchMethod, codes.Unimplemented, "1.2"},
		"malformed":              {nil, []string{"oslorpc-version", "1.x"}, rpc.InvalidTarget, codes.InvalidArgument, "oslorpc-version"},
		"twice":                  {nil, []string{"oslorpc-version", "1.0", "oslorpc-version", "1.1"}, rpc.InvalidTarget, codes.InvalidArgument, "2 times"},
		"a bad name":             {nil, []string{"oslorpc-server", "%01"}, rpc.InvalidTarget, codes.InvalidArgument, "control"},
		"another server":         {interceptor.WithTarget(rpc.Target{Server: "a"}), []string{"oslorpc-server", "b"}, rpc.Refused, codes.Unavailable, `"b"`},
		"another topic":          {interceptor.WithTarget(rpc.Target{Topic: "inventory"}), []string{"oslorpc-topic", "b"}, rpc.Refused, codes.Unavailable, `"b"`},
		"another implied topic":  {interceptor.WithTarget(rpc.Target{Topic: "b"}), nil, rpc.Refused, codes.Unavailable, `"inventory"`},
		"another exchange":       {interceptor.WithTarget(rpc.Target{Exchange: "a"}), []string{"oslorpc-exchange", "b"}, rpc.Refused, codes.Unavailable, `"b"`},
		"this server":            {interceptor.WithTarget(rpc.Target{Server: "a"}), []string{"oslorpc-server", "a"}, 0, codes.OK, ""},
		"an unknown exchange":    {interceptor.WithTarget(rpc.Target{Server: "a"}), []string{"oslorpc-exchange", "b"}, 0, codes.OK, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var options []interceptor.ServerOption
			if test.option != nil {
				options = append(options, test.option)
			}
			service, conn := start(t, both(options...), nil) // a client without interceptors
			ctx := metadata.AppendToOutgoingContext(t.Context(), test.headers...)
			_, err := v1.NewInventoryServiceClient(conn).SnapshotVolume(ctx, &v1.SnapshotVolumeRequest{})
			if status.Code(err) != test.code || !strings.Contains(status.Convert(err).Message(), test.words) {
				t.Errorf("got %v", err)
			}
			if (service.calls > 0) != (err == nil) {
				t.Errorf("the handler ran %d times", service.calls)
			}
			if err != nil && !strings.HasPrefix(status.Convert(err).Message(), test.want.String()) {
				t.Errorf("it is not %v: %v", test.want, err)
			}
		})
	}
}

func TestClientSeesAnOlderServer(t *testing.T) {
	t.Parallel()
	var told []interceptor.Report
	report := interceptor.WithReport(func(r interceptor.Report) { told = append(told, r) })
	old := interceptor.WithImplemented(interceptor.Implementation{Namespace: "other", Version: "3.0"}, interceptor.Implementation{Namespace: "volumes", Version: "1.1"})
	service, conn := start(t, both(old), with(report))
	client := v1.NewInventoryServiceClient(conn)
	_, err := client.SnapshotVolume(t.Context(), &v1.SnapshotVolumeRequest{})
	check(t, err, rpc.UnsupportedVersion, codes.FailedPrecondition)
	if e, ok := errors.AsType[*rpc.Error](err); !ok || !e.NotStarted || e.Target.Version != "1.2" || e.Target.Topic != "inventory" || !strings.HasSuffix(e.Method, "/SnapshotVolume") {
		t.Errorf("got %+v", e)
	}
	if _, err := client.GetVolume(t.Context(), &v1.GetVolumeRequest{}); err != nil {
		t.Error(err)
	}
	stream, err := client.WatchVolumes(t.Context(), &v1.WatchVolumesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for ; err == nil; _, err = stream.Recv() {
	}
	if len(told) != 3 || service.calls != 2 {
		t.Fatalf("%d calls, told %v", service.calls, told)
	}
	for _, r := range told {
		if r.Namespace != "volumes" || !slices.Equal(r.Implemented, []rpc.Version{{Major: 1, Minor: 1}}) || r.Method == "" {
			t.Errorf("told %+v", r)
		}
	}
}

func TestTargetIsCarried(t *testing.T) {
	t.Parallel()
	target := rpc.Target{Exchange: "größe", Topic: "inventory", Server: "a, 100 %"}
	service, conn := start(t, both(interceptor.WithTarget(target)), with(interceptor.WithTarget(target)))
	_, err := v1.NewInventoryServiceClient(conn).CreateVolume(t.Context(), &v1.CreateVolumeRequest{Description: "d"})
	if err != nil {
		t.Fatal(err)
	}
	want := rpc.Target{Exchange: "größe", Topic: "inventory", Server: "a, 100 %", Namespace: "volumes", Version: "1.1"}
	if service.target != want {
		t.Errorf("got %v", service.target)
	}
	if _, implied := service.headers["oslorpc-topic"]; implied {
		t.Error("the topic is carried though the options have it")
	}
}

func TestServicesWithoutRulesPassUntouched(t *testing.T) {
	t.Parallel()
	service, conn := start(t, both(interceptor.WithImplemented()), with(interceptor.WithVersionCap("9.0"), interceptor.WithTarget(rpc.Target{Server: "a"})))
	if _, err := v1.NewPlainServiceClient(conn).Echo(t.Context(), &v1.EchoRequest{}); err != nil {
		t.Error(err)
	}
	if service.checked || service.headers.Get("oslorpc-server") != nil {
		t.Errorf("got %v", service.headers)
	}
}

func TestHandlersErrorsArriveAsTheyWere(t *testing.T) {
	t.Parallel()
	service, conn := start(t, both(), with())
	service.fails = func(context.Context) error { return status.Error(codes.NotFound, "no such volume") }
	_, err := v1.NewInventoryServiceClient(conn).GetVolume(t.Context(), &v1.GetVolumeRequest{})
	if status.Code(err) != codes.NotFound || status.Convert(err).Message() != "no such volume" || rpc.KindOf(err) != rpc.Unknown {
		t.Errorf("got %v", err)
	}
}

// The message of the first hop ran, whatever the second hop did.
func TestRefusalOfANestedCallIsNotItsCallers(t *testing.T) {
	t.Parallel()
	for name, dial := range map[string][]grpc.DialOption{"with interceptors": with(), "without": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, second := start(t, both(interceptor.WithImplemented()), dial)
			service, first := start(t, both(interceptor.WithTarget(rpc.Target{Server: "hop"})), with())
			service.fails = func(ctx context.Context) error {
				_, err := v1.NewInventoryServiceClient(second).GetVolume(ctx, &v1.GetVolumeRequest{})
				return err
			}
			_, err := v1.NewInventoryServiceClient(first).GetVolume(t.Context(), &v1.GetVolumeRequest{})
			check(t, err, rpc.Remote, codes.Unknown)
			if remote, ok := errors.AsType[*rpc.RemoteError](err); rpc.SafeToRetry(err) || !ok || remote.Type != "oslorpc.UnsupportedVersion" || !slices.Equal(remote.Hops, []string{"hop"}) {
				t.Errorf("got %+v", err)
			}
		})
	}
}

func TestMistakesInOptions(t *testing.T) {
	t.Parallel()
	for words, option := range map[string]interceptor.ClientOption{
		"follows the fleet": interceptor.WithVersionCap("auto"), "neither a version": interceptor.WithVersionCap("bobcat"),
		"alias": interceptor.WithVersionAliases(map[string]string{"x": "y"}), "namespace": interceptor.WithTarget(rpc.Target{Namespace: "n"}),
	} {
		service, conn := start(t, both(), with(option))
		_, err := v1.NewPlainServiceClient(conn).Echo(t.Context(), &v1.EchoRequest{})
		_, streamErr := v1.NewInventoryServiceClient(conn).SyncVolumes(t.Context())
		for _, err := range []error{err, streamErr} {
			if !errors.Is(err, rpc.Invalid) || !strings.Contains(err.Error(), words) || service.calls != 0 {
				t.Errorf("%s: got %v", words, err)
			}
		}
	}
	for _, option := range []interceptor.ServerOption{
		interceptor.WithImplemented(interceptor.Implementation{Version: "1"}), interceptor.WithTarget(rpc.Target{Fanout: true}),
	} {
		_, conn := start(t, both(option), nil)
		if _, err := v1.NewPlainServiceClient(conn).Echo(t.Context(), &v1.EchoRequest{}); status.Code(err) != codes.Internal {
			t.Errorf("got %v", err)
		}
	}
}

// An interceptor before ours changes the request. An interceptor after ours sees the message that
// is sent.
func TestChained(t *testing.T) {
	t.Parallel()
	var seen metadata.MD
	before := func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, o ...grpc.CallOption) error {
		req.(*v1.CreateVolumeRequest).Description = "changed"
		return invoke(ctx, method, req, reply, cc, o...)
	}
	after := func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, o ...grpc.CallOption) error {
		seen, _ = metadata.FromOutgoingContext(ctx)
		return invoke(ctx, method, req, reply, cc, o...)
	}
	service, conn := start(t, both(), []grpc.DialOption{grpc.WithChainUnaryInterceptor(before, interceptor.UnaryClient(), after)})
	ctx := metadata.AppendToOutgoingContext(t.Context(), "oslorpc-version", "1.9", "mine", "yes") // as a proxy may
	if _, err := v1.NewInventoryServiceClient(conn).CreateVolume(ctx, &v1.CreateVolumeRequest{}); err != nil {
		t.Fatal(err)
	}
	if v := service.headers["oslorpc-version"]; !slices.Equal(v, []string{"1.1"}) || service.headers["mine"] == nil || !slices.Equal(seen["oslorpc-version"], v) {
		t.Errorf("got %v after %v", service.headers, seen)
	}
}

// A server without interceptors forwards the error that the client interceptors of its method
// returned. This error must not claim anything about the first message.
func TestRefusalOfANestedCallClaimsNothingFurtherOn(t *testing.T) {
	t.Parallel()
	_, second := start(t, both(interceptor.WithImplemented()), with())
	service, first := start(t, nil, with())
	service.fails = func(ctx context.Context) error {
		_, err := v1.NewInventoryServiceClient(second).GetVolume(ctx, &v1.GetVolumeRequest{})
		return err
	}
	_, err := v1.NewInventoryServiceClient(first).GetVolume(t.Context(), &v1.GetVolumeRequest{})
	if status.Code(err) != codes.FailedPrecondition || rpc.SafeToRetry(err) || rpc.KindOf(err) != rpc.Unknown {
		t.Errorf("got %v", err)
	}
}
