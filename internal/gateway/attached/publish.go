package attached

import (
	"context"
	"crypto/x509"
	"fmt"

	"github.com/oslorpc/oslorpc/internal/discovery/gateway"
	"github.com/oslorpc/oslorpc/internal/identity"
	"github.com/oslorpc/oslorpc/internal/refusal"
	"github.com/oslorpc/oslorpc/internal/tunnel"
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func invalid(format string, args ...any) error {
	return &rpc.Error{Kind: rpc.InvalidTarget, NotStarted: true, Message: fmt.Sprintf(format, args...)}
}

// enter admits the stream of a process, which has published no servers yet.
func (s *Servers) enter(p *process) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.left:
		e := refusal.New(refusal.Stopping)
		e.Message = "the gateway is stopping"
		return e
	case len(s.streams) >= s.config.Processes:
		e := refusal.New(refusal.Full)
		e.Message = fmt.Sprintf("the gateway has %d attached processes, and takes no more", len(s.streams))
		return e
	}
	s.streams[p] = true
	p.tunnel = tunnel.New(p, "gateway", p.peer.Addr)
	return nil
}

// leave removes a process whose stream has ended, with its instances.
func (s *Servers) leave(p *process) {
	s.mu.Lock()
	delete(s.streams, p)
	served := s.processes[p.bootID] == p
	if served {
		delete(s.processes, p.bootID)
	}
	announced := served && len(p.instances) > 0
	if announced {
		s.tell()
	}
	link, c := p.link, s.carrier
	s.mu.Unlock()
	_ = p.tunnel.Close() // it never fails
	if link != nil {
		c.Put(link)
	}
	if announced {
		s.config.Log.Info("an attached process is gone", "peer", p.peer.Identity.String(), "address", p.peer.Addr, "reason", p.tunnel.Err())
		s.config.Settle()
	}
}

func (s *Servers) gatewayID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bootID
}

// publish handles a publication, which lists all servers of a process. It returns when discovery
// has them. On an error, the previous list stays.
func (s *Servers) publish(ctx context.Context, p *process, m *pb.AttachPublish) error {
	list, err := s.read(p, m)
	if err != nil {
		return err
	}
	before, isNew, err := s.put(p, list)
	if err != nil {
		return err
	}
	if isNew {
		err = p.connect(ctx)
	}
	if err == nil {
		s.show()
		err = s.config.Announce(ctx)
	}
	if err != nil {
		s.revert(p, before, isNew)
		s.config.Settle()
		return err
	}
	if isNew {
		s.config.Log.Info("a process is attached", "peer", p.peer.Identity.String(), "address", p.peer.Addr, "servers", len(list))
	}
	return nil
}

// read returns the instances that a process publishes, or an error if it may not publish one of
// them.
func (s *Servers) read(p *process, m *pb.AttachPublish) ([]rpc.Instance, error) {
	if n := len(m.GetInstances()); n > s.config.Instances {
		return nil, invalid("the process publishes %d servers: the gateway takes %d", n, s.config.Instances)
	}
	list, seen := make([]rpc.Instance, 0, len(m.GetInstances())), map[string]bool{}
	for _, encoded := range m.GetInstances() {
		i, err := gateway.Decode(encoded, scheme+encoded.GetBootId())
		if err != nil {
			return nil, invalid("%v", err)
		}
		if err := check(&i); err != nil {
			return nil, err
		}
		switch boot := m.GetInstances()[0].GetBootId(); {
		case i.BootID != boot || p.bootID != "" && i.BootID != p.bootID:
			return nil, invalid("the servers of a process must have one boot id, and do not change it")
		case seen[i.ID]:
			return nil, invalid("two servers have the id %q", i.ID)
		}
		seen[i.ID] = true
		if err := s.allow(p, &i); err != nil {
			return nil, err
		}
		list = append(list, i)
	}
	return list, nil
}

// maxName bounds the ids of a process, in bytes.
const maxName = 256

// check returns an error for an instance with missing or malformed fields.
func check(i *rpc.Instance) error {
	target := rpc.Target{Exchange: i.Exchange, Topic: i.Topic, Server: i.Server}
	switch {
	case i.ID == "", i.BootID == "", i.Exchange == "":
		return invalid("a server must have an instance id, a boot id and an exchange")
	case len(i.ID) > maxName, len(i.BootID) > maxName, len(i.Zone) > maxName:
		return invalid("the ids and the zone of a server may have %d bytes", maxName)
	}
	return target.ValidateServer()
}

// allow returns an error if a process may not attach a server.
func (s *Servers) allow(p *process, i *rpc.Instance) error {
	if err := p.allow(i); err != nil {
		return err
	}
	if s.config.Identity == nil {
		return nil
	}
	var shown *x509.Certificate
	if state := p.peer.TLS; state != nil && len(state.PeerCertificates) > 0 {
		shown = state.PeerCertificates[0]
	}
	if err := s.config.Identity.Check(&identity.Server{Exchange: i.Exchange, Topic: i.Topic, Name: i.Server}, shown); err != nil {
		return &rpc.Error{Kind: rpc.AccessDenied, NotStarted: true, Message: fmt.Sprintf(
			"server %q on topic %q %v: attach it with a certificate of its own", i.Server, i.Topic, err)}
	}
	return nil
}

// put sets the instances of a process, and returns the previous ones. Watches get them only with
// show. IsNew is true for the first publication of a stream, which then replaces an earlier stream
// of the same process.
func (s *Servers) put(p *process, list []rpc.Instance) (before []rpc.Instance, isNew bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(list) == 0 && p.bootID == "" {
		return nil, false, nil
	}
	isNew = p.bootID == ""
	boot := p.bootID
	if isNew {
		boot = list[0].BootID
	}
	old := s.processes[boot]
	if !isNew && old != p {
		return nil, false, invalid("another stream of this process took the place of this one")
	}
	if old != nil && old != p && old.peer.Identity.Key() != p.peer.Identity.Key() {
		return nil, false, &rpc.Error{Kind: rpc.AccessDenied, NotStarted: true, Message: "another process is attached with this boot id"}
	}
	if err := s.unique(list, boot); err != nil {
		return nil, false, err
	}
	if old != nil && old != p {
		old.tunnel.Abort()
	}
	before, p.bootID, p.instances = p.instances, boot, list
	s.processes[boot] = p
	return before, isNew, nil
}

// unique returns an error if another process has one of the ids. The lock is held.
func (s *Servers) unique(list []rpc.Instance, boot string) error {
	ids := map[string]bool{}
	for _, i := range list {
		ids[i.ID] = true
	}
	for _, other := range s.processes {
		for _, i := range other.instances {
			if other.bootID != boot && ids[i.ID] {
				return &rpc.Error{Kind: rpc.AccessDenied, NotStarted: true, Message: fmt.Sprintf("another process has a server with the id %q", i.ID)}
			}
		}
	}
	return nil
}

// show delivers the current instances to all watches.
func (s *Servers) show() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tell()
}

// revert restores the previous instances of a process, after a publication failed.
func (s *Servers) revert(p *process, before []rpc.Instance, isNew bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.instances = before
	if isNew && s.processes[p.bootID] == p {
		delete(s.processes, p.bootID)
	}
	s.tell()
}
