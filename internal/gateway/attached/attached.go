// Package attached has the servers that are attached to a gateway: servers of processes that cannot
// be dialled, and open a stream to the gateway instead. The stream carries one connection, over
// which the gateway is the client.
//
// [Servers] answers the RPC, hands out the connections to the gateway's own clients, and adds the
// instances to what these see in discovery, from the moment they are attached until the moment the
// stream ends. The gateway announces them as its own; see [Servers.Beside].
//
// Locks are taken in this order: the lock of the gateway's host, the lock of [Servers], the locks
// of views.
package attached

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/identity"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Config says which servers a gateway takes. Its fields are required, but for those that say
// otherwise.
type Config struct {
	// Announce has discovery told what Beside returns now. Settle does so in the background.
	Announce func(ctx context.Context) error
	Settle   func()
	// Identity is the name that each server must prove; nil for any.
	Identity identity.Rule
	// Processes and Instances are how many processes may be attached, and how many instances each
	// may have; 0 for the defaults.
	Processes, Instances int
	Log                  *slog.Logger
}

// The defaults of limits.
const (
	maxProcesses = 4096
	maxInstances = 1000
)

// Servers are the servers that are attached. They are safe for concurrent use.
type Servers struct {
	config Config

	mu      sync.Mutex // guards what follows
	carrier carrier.Carrier
	bootID  string // of the gateway, once it announced something
	closing chan struct{}
	left    bool // closing is closed
	hidden  bool // nothing is announced any more
	// streams are the processes that are here, and processes those among them that serve something,
	// by their boot ids.
	streams   map[*process]bool
	processes map[string]*process
	// changed is closed at the next change of what is attached.
	changed chan struct{}
	views   map[*view]bool
}

// New returns the servers of a gateway that has none yet.
func New(c Config) *Servers {
	if c.Processes == 0 {
		c.Processes = maxProcesses
	}
	if c.Instances == 0 {
		c.Instances = maxInstances
	}
	return &Servers{
		config: c, closing: make(chan struct{}), streams: map[*process]bool{}, processes: map[string]*process{},
		changed: make(chan struct{}), views: map[*view]bool{},
	}
}

// Use sets what connects the gateway to the processes, through [Servers.Dial]. It must be called
// before the first process comes.
func (s *Servers) Use(c carrier.Carrier) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.carrier = c
}

// scheme begins the addresses of attached processes, within the gateway.
const scheme = "attached:"

// IsAddr reports whether an address is of an attached process.
func IsAddr(addr string) bool { return strings.HasPrefix(addr, scheme) }

// Dial returns the connection to an attached process. Each can be had once. Where nothing is
// attached it is refused, as where nothing listens.
func (s *Servers) Dial(ctx context.Context, addr string) (net.Conn, error) {
	s.mu.Lock()
	p := s.processes[strings.TrimPrefix(addr, scheme)]
	s.mu.Unlock()
	if p == nil || !p.take() {
		return nil, fmt.Errorf("no process is attached as %s: %w", addr, syscall.ECONNREFUSED)
	}
	return p.tunnel, ctx.Err()
}

// Beside returns the instances that the gateway announces as its own.
func (s *Servers) Beside(bootID, addr string) []rpc.Instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bootID = bootID
	if s.hidden {
		return nil
	}
	list := s.instances()
	for i := range list {
		list[i].BootID, list[i].Addr = bootID, addr
	}
	return list
}

// instances returns all instances, as the gateway reaches them. The lock is held.
func (s *Servers) instances() (list []rpc.Instance) {
	for _, p := range s.processes {
		list = append(list, p.instances...)
	}
	return list
}

// tell has all views deliver what is attached now. The lock is held.
func (s *Servers) tell() {
	close(s.changed)
	s.changed = make(chan struct{})
	for v := range s.views {
		v.deliver()
	}
}

// Instance returns an instance that is attached; false if it is not.
func (s *Servers) Instance(id string) (rpc.Instance, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.processes {
		for _, i := range p.instances {
			if i.ID == id {
				return i, true
			}
		}
	}
	return rpc.Instance{}, false
}

// Process describes a process that is attached.
type Process struct {
	// Peer is the process as it proved itself.
	Peer rpc.Peer
	// Instances are its servers.
	Instances []rpc.Instance
}

// List returns the processes that are attached and serve something, in a stable order.
func (s *Servers) List() []Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Process, 0, len(s.processes))
	for _, boot := range slices.Sorted(maps.Keys(s.processes)) {
		p := s.processes[boot]
		list = append(list, Process{p.peer, slices.Clone(p.instances)})
	}
	return list
}

// TellClosing tells all processes that the gateway is about to stop. Further ones are refused.
func (s *Servers) TellClosing() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.left {
		s.left = true
		close(s.closing)
	}
}

// Hide has nothing announced any more. The processes that are here are served on.
func (s *Servers) Hide() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hidden = true
}

// Leave is TellClosing, and returns when all processes have left for another gateway, or when ctx
// ends. Those that stay are served on.
func (s *Servers) Leave(ctx context.Context) {
	s.TellClosing()
	for {
		s.mu.Lock()
		stay, changed := len(s.instances()), s.changed
		s.mu.Unlock()
		if stay == 0 {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// Close ends the connections to all processes. What the processes have sent arrives first.
func (s *Servers) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.streams {
		_ = p.tunnel.Close() // it never fails
	}
}
