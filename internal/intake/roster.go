package intake

import (
	"sync/atomic"

	"github.com/oslorpc/oslorpc/pkg/registry"
)

// roster is the servers of a process. It is immutable, except for the turns of its groups.
type roster struct {
	servers []*Server
	topics  map[registry.Topic]*group
	// services are the servers that offer each typed service.
	services map[string]*group
}

// group is the servers on one topic, or the servers that offer one typed service.
type group struct {
	servers []*Server
	turn    atomic.Uint64 // the round robin of messages that several servers can take
}

func newRoster(servers []*Server) *roster {
	r := &roster{servers: servers, topics: map[registry.Topic]*group{}, services: map[string]*group{}}
	for _, s := range servers {
		topic := registry.Topic{Exchange: s.Instance.Exchange, Name: s.Instance.Topic}
		g := r.topics[topic]
		if g == nil {
			g = &group{}
			r.topics[topic] = g
		}
		g.servers = append(g.servers, s)
		for name := range s.Services {
			if r.services[name] == nil {
				r.services[name] = &group{}
			}
			r.services[name].servers = append(r.services[name].servers, s)
		}
	}
	return r
}

// find returns the server with this name and this id, or nil if there is none. An empty name or id
// matches all. It returns a server that is stopping, held or draining only if there is no other.
func (g *group) find(name, id string) *Server { return g.findAt(registry.Topic{}, name, id) }

// findAt is find on a topic. An empty exchange or topic name matches all.
func (g *group) findAt(at registry.Topic, name, id string) *Server {
	meant := func(s *Server) bool {
		i := &s.Instance
		return (name == "" || name == i.Server) && (id == "" || id == i.ID) &&
			(at.Name == "" || at.Name == i.Topic) && (at.Exchange == "" || at.Exchange == i.Exchange)
	}
	if s := g.next(func(s *Server) bool { return meant(s) && s.takesAny() }); s != nil {
		return s
	}
	return g.next(meant)
}

// next returns one of the servers for which meant is true, in turn, or nil if there is none.
func (g *group) next(meant func(*Server) bool) *Server {
	var few [8]*Server
	list := few[:0]
	for _, s := range g.servers {
		if meant(s) {
			list = append(list, s)
		}
	}
	switch n := uint64(len(list)); n {
	case 0:
		return nil
	case 1:
		return list[0]
	default:
		return list[g.turn.Add(1)%n]
	}
}

// takesAny reports whether the server's phase welcomes messages that name no server.
func (s *Server) takesAny() bool { return s.Dispatch.Phase().TakesAny() }
