package interop

import (
	"path/filepath"
	"slices"

	"github.com/oslorpc/oslorpc/internal/interop/wire"
)

// command is how a program is started.
type command struct {
	argv []string
	env  []string
}

// Language is a library for clients, for servers, or for both.
type Language struct {
	// Name and Short are its names in the table: the latter has at most four letters.
	Name, Short string
	// same is the Short of the library that it is, behind a gateway; empty for Short.
	same string

	client func(url string) command
	server func(url, topic, name string) command
	// gateway is what the servers are attached to, and through which the clients reach the fleet; nil
	// for programs that find each other by discovery.
	gateway func(url string) command
	// says returns how a library with errors of its own tells an error of a server; nil for those
	// of oslorpc.
	says func(e wire.Error, server *Language) wire.Error
}

// Programs says where the programs are.
type Programs struct {
	// Root is the directory of this repository.
	Root string
	// Go is the program of this package's command, which is the client and the server of Go as
	// well.
	Go string
	// Python is the Python that has the packages of the tests.
	Python string
}

// Languages returns all languages.
func Languages(p Programs) []*Language {
	python := func(program string, args ...string) command {
		return command{
			argv: slices.Concat([]string{p.Python, filepath.Join(p.Root, "python", "interop", program)}, args),
			env:  []string{"PYTHONPATH=" + filepath.Join(p.Root, "python", "src")},
		}
	}
	typescript := func(program string, args ...string) command {
		return command{argv: slices.Concat([]string{"node", filepath.Join(p.Root, "typescript", "dist", "interop", program)}, args)}
	}
	return append([]*Language{{
		Name: "Go", Short: "go",
		client: func(url string) command { return command{argv: []string{p.Go, "client", url}} },
		server: func(url, topic, name string) command {
			return command{argv: []string{p.Go, "server", url, topic, name}}
		},
	}, {
		Name: "Python", Short: blocking,
		client: func(url string) command { return python("client.py", url) },
		server: func(url, topic, name string) command { return python("server.py", url, topic, name) },
	}, {
		Name: "Python asyncio", Short: asyncio,
		client: func(url string) command { return python("aioclient.py", url) },
	}, {
		Name: "TypeScript", Short: "ts",
		client: func(url string) command { return typescript("client.js", url) },
		server: func(url, topic, name string) command { return typescript("server.js", url, topic, name) },
	}, {
		Name: "oslo.messaging", Short: oslo,
		client: func(url string) command { return python("oslo/client.py", url) },
		server: func(url, topic, name string) command { return python("oslo/server.py", url, topic, name) },
		says:   osloSays,
	}}, behindGateways(p, python, typescript)...)
}

// behindGateways returns languages whose servers are attached to a gateway, or whose clients know
// only one.
func behindGateways(p Programs, python, typescript func(program string, args ...string) command) []*Language {
	gateway := func(url string) command { return command{argv: []string{p.Go, "gateway", url}} }
	return []*Language{{
		Name: "Go, attached", Short: "ago", gateway: gateway,
		server: func(url, topic, name string) command {
			return command{argv: []string{p.Go, "server", url, topic, name}}
		},
	}, {
		Name: "Python, attached", Short: "apy", same: blocking, gateway: gateway,
		server: func(url, topic, name string) command { return python("server.py", url, topic, name) },
	}, {
		Name: "TypeScript, attached", Short: "ats", gateway: gateway,
		server: func(url, topic, name string) command { return typescript("server.js", url, topic, name) },
	}, {
		Name: "Go, through a gateway", Short: "ggo", gateway: gateway,
		client: func(url string) command { return command{argv: []string{p.Go, "client", url}} },
	}, {
		Name: "Python, through a gateway", Short: "gpy", same: blocking, gateway: gateway,
		client: func(url string) command { return python("client.py", url) },
	}, {
		Name: "TypeScript, through a gateway", Short: "gts", gateway: gateway,
		client: func(url string) command { return typescript("client.js", url) },
	}, {
		Name: "oslo.messaging, through a gateway", Short: "gos", same: oslo, gateway: gateway,
		client: func(url string) command { return python("oslo/client.py", url) },
		says:   osloSays,
	}}
}

// The Shorts that cases and gaps refer to.
const (
	blocking = "py"
	asyncio  = "aio"
	oslo     = "oslo"
)

// is reports whether a language is the library with this Short, behind a gateway or not.
func (l *Language) is(short string) bool { return l.Short == short || l.same == short }

// IsClient and IsServer report whether there is a client, or a server, in a language.
func (l *Language) IsClient() bool { return l.client != nil }

// IsServer is explained at IsClient.
func (l *Language) IsServer() bool { return l.server != nil }
