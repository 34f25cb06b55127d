package architecture

import (
	"slices"
	"strings"
	"testing"
)

// These are the packages of the two ends of a message. A package of one end must not import a
// package of the other.
var (
	client = []string{
		"internal/client", "internal/delivery", "internal/fleet", "internal/route",
		"internal/carrier", "internal/carrier/grpccarrier", "internal/peer",
	}
	server = []string{
		"internal/host", "internal/service", "internal/intake", "internal/dispatch", "internal/endpoint",
		"internal/inbound",
	}
)

// free are the packages that must not import gRPC, so that other carriers can use them.
var free = []string{
	"internal/client", "internal/delivery", "internal/fleet", "internal/route", "internal/carrier",
	"internal/intake", "internal/dispatch", "internal/endpoint", "internal/refusal", "internal/upgrade", "pkg/rpc",
}

// users are the packages that may import the public API, together with the packages below them.
var users = []string{
	"cmd", "examples", "pkg/oslorpctest", "internal/bench", "internal/simulate", "internal/cuts", "internal/lab", "internal/programtest", "internal/conformance",
	"internal/interop",
}

const (
	grpc = "google.golang.org/grpc"
	api  = "pkg/oslorpc"
)

// isAt reports whether a package is in the list, or below a package in the list.
func isAt(pkg string, list []string) bool {
	return slices.ContainsFunc(list, func(p string) bool { return isWithin(pkg, p) })
}

func isWithin(pkg, parent string) bool { return pkg == parent || strings.HasPrefix(pkg, parent+"/") }

// isTestSupport reports whether a package is only for tests. Such a package may import both ends.
func isTestSupport(pkg string) bool {
	name := pkg[strings.LastIndex(pkg, "/")+1:]
	return strings.HasSuffix(name, "test") || name == "memcarrier"
}

// broken returns the rule that an import breaks, or "" if it breaks none.
func broken(pkg, imported string) string {
	switch {
	case slices.Contains(free, pkg) && isWithin(imported, grpc):
		return "must not import gRPC: only carriers do"
	case slices.Contains(client, pkg) && slices.Contains(server, imported):
		return "belongs to the client, and must not import packages of the server"
	case slices.Contains(server, pkg) && slices.Contains(client, imported):
		return "belongs to the server, and must not import packages of the client"
	case imported == api && !isAt(pkg, users):
		return "is below the public API, and must not import it"
	case pkg == "pkg/rpc" && (isAt(imported, []string{"pkg", "internal"})):
		return "is the vocabulary, and must not import another package of this module"
	default:
		return ""
	}
}

func TestImports(t *testing.T) {
	for _, s := range sources(t) {
		if isTestSupport(s.pkg) {
			continue
		}
		for _, imported := range s.imports() {
			if rule := broken(s.pkg, imported); rule != "" {
				t.Errorf("%s imports %s, but %s %s", s.path, imported, s.pkg, rule)
			}
		}
	}
}

// A rule about a package that does not exist would never fail.
func TestRulesNamePackages(t *testing.T) {
	there := map[string]bool{}
	for _, s := range sources(t) {
		there[s.pkg] = true
	}
	for _, pkg := range slices.Concat(client, server, free) {
		if !there[pkg] {
			t.Errorf("there is no package %s", pkg)
		}
	}
}

func TestBroken(t *testing.T) {
	for _, test := range []struct {
		pkg, imported string
		want          bool
	}{
		{"internal/delivery", grpc + "/codes", true},
		{"internal/delivery", "google.golang.org/protobuf/proto", false},
		{"internal/peer", grpc, false},
		{"internal/delivery", "internal/dispatch", true},
		{"internal/service", "internal/route", true},
		{"internal/service", "internal/dispatch", false},
		{"internal/client", api, true},
		{"pkg/middleware", api, true},
		{"cmd/oslorpc", api, false},
		{"examples/hello/client", api, false},
		{"pkg/rpc", "internal/payload", true},
	} {
		if rule := broken(test.pkg, test.imported); (rule != "") != test.want {
			t.Errorf("%s imports %s: broken is %q, want %v", test.pkg, test.imported, rule, test.want)
		}
	}
}
