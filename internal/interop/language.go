package interop

import (
	"path/filepath"
	"slices"

	"github.com/oslorpc/oslorpc/internal/interop/wire"
)

// command is how to start a program.
type command struct {
	argv []string
	env  []string
}

// Language is a library that has clients, servers, or both.
type Language struct {
	// Name and Short are its names in the table. Short has at most four letters.
	Name, Short string
	// same is the Short of the same library without a gateway. It is empty for a library without a
	// gateway.
	same string

	client func(url string) command
	server func(url, topic, name string) command
	// gateway is the gateway to which the servers attach and through which the clients reach the
	// fleet. It is nil for programs that find each other by discovery.
	gateway func(url string) command
	// says returns how the library reports an error of a server, if the library has its own errors.
	// It is nil for libraries that have the errors of oslorpc.
	says func(e wire.Error, server *Language) wire.Error
}

// Programs tells where the programs are.
type Programs struct {
	// Root is the root directory of this repository.
	Root string
	// Go is the program of this package's command, which is also the client and the server of Go.
	Go string
	// Python is the Python interpreter that has the packages of the tests.
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

// behindGateways returns the languages whose servers attach to a gateway or whose clients know only
// a gateway.
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

// These are the Shorts that cases and gaps refer to.
const (
	blocking = "py"
	asyncio  = "aio"
	oslo     = "oslo"
)

// is reports whether a language is the library with this Short, with or without a gateway.
func (l *Language) is(short string) bool { return l.Short == short || l.same == short }

// IsClient reports whether the language has a client.
func (l *Language) IsClient() bool { return l.client != nil }

// IsServer reports whether the language has a server.
func (l *Language) IsServer() bool { return l.server != nil }
