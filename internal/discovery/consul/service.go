package consul

import (
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// These are the keys of the metadata.
const (
	metaExchange = "rpc-exchange"
	metaTopic    = "rpc-topic"
	metaServer   = "rpc-server"
	metaInstance = "rpc-instance"
	metaBoot     = "rpc-boot"
	metaState    = "rpc-state"
	metaSessions = "rpc-sessions" // only if the process supports sessions
	metaZone     = "rpc-zone"     // only if the process has a zone
)

// yes is the value of keys whose presence alone has a meaning.
const yes = "1"

// deregisterAfter is how long after its check became critical Consul removes a service. Checks of
// lost hosts and killed processes become critical after the TTL. The delay lets operators see them.
const deregisterAfter = 5 * time.Minute

// ids are the ids of a service and of its check at an agent. Consul lets a token that may write any
// service reuse the id of every check, and every free id of a service. So ids are random, and a
// service whose id was taken over gets new ones. Only tokens that may read a service see its ids:
// tokens for a topic see its instances, but not the check that keeps the process alive.
type ids struct{ service, check string }

// newIDs returns ids for the service of an instance, or of a process, with this id.
func newIDs(of string) ids {
	service := prefix + of + "-" + rand.Text()
	return ids{service, newCheckID(service)}
}

func newCheckID(service string) string { return service + "-" + rand.Text() }

// instanceService returns the service of an instance. Its check is an alias of the check of the
// process's service, which has the id processID.
func instanceService(i rpc.Instance, names ids, processID string) (*api.AgentServiceRegistration, error) {
	host, port, err := splitAddr(i.Addr)
	if err != nil {
		return nil, err
	}
	if i.ID == "" || i.BootID == "" {
		return nil, invalid("publish %s of %s: an instance must have an id and a boot id", i.Server, i.Topic)
	}
	meta := map[string]string{
		metaExchange: i.Exchange, metaTopic: i.Topic, metaServer: i.Server,
		metaInstance: i.ID, metaBoot: i.BootID, metaState: string(i.State),
	}
	if i.Sessions {
		meta[metaSessions] = yes
	}
	if i.Zone != "" {
		meta[metaZone] = i.Zone
	}
	if err := putVersions(meta, i.Implemented); err != nil {
		return nil, err
	}
	return &api.AgentServiceRegistration{
		ID: names.service, Name: serviceName(topicOf(i)), Address: host, Port: port, Meta: meta,
		Check: &api.AgentServiceCheck{
			CheckID: names.check, Name: "The process is alive", Status: api.HealthPassing, AliasService: processID,
			DeregisterCriticalServiceAfter: deregisterAfter.String(),
		},
	}, nil
}

func topicOf(i rpc.Instance) registry.Topic {
	return registry.Topic{Exchange: i.Exchange, Name: i.Topic}
}

// processService returns the service that stands for the process of an instance. It is named after
// the topic of that instance, so that a token for the topic may write it, and no token for another
// topic may.
func processService(i rpc.Instance, names ids, ttl time.Duration) (*api.AgentServiceRegistration, error) {
	host, port, err := splitAddr(i.Addr)
	if err != nil {
		return nil, err
	}
	return &api.AgentServiceRegistration{
		ID: names.service, Name: processName(topicOf(i)), Address: host, Port: port, Meta: map[string]string{metaBoot: i.BootID},
		Check: &api.AgentServiceCheck{
			CheckID: names.check, Name: "The process sends a sign of life", Status: api.HealthPassing, TTL: ttl.String(),
			Notes: fmt.Sprintf("The process reports every %s. It and all that it serves count as gone %s after its last report, "+
				"and are deregistered after %s more.", beatEvery(ttl), ttl, deregisterAfter),
			DeregisterCriticalServiceAfter: deregisterAfter.String(),
		},
	}, nil
}

func splitAddr(addr string) (host string, port int, err error) {
	if strings.HasPrefix(addr, "unix:") {
		return "", 0, invalid("publish %s: Consul's services have a host and a port: listen on TCP, or use local://", addr)
	}
	host, port, err = discovery.SplitAddr(addr)
	if err != nil {
		return "", 0, invalid("publish %q: %v", addr, err)
	}
	return host, port, nil
}

// same reports whether a service is registered as wanted. It compares only the fields that this
// package sets, since Consul adds others.
func same(is *api.AgentService, wanted *api.AgentServiceRegistration) bool {
	return is.Service == wanted.Name && is.Address == wanted.Address && is.Port == wanted.Port && maps.Equal(is.Meta, wanted.Meta)
}

// instances returns the instances among the services of a name. For each service that cannot be
// used, it returns the reason, by the service's id.
func instances(entries []*api.ServiceEntry, name string) ([]rpc.Instance, map[string]error) {
	var list []rpc.Instance
	broken := map[string]error{}
	for _, e := range entries {
		if e == nil || e.Service == nil {
			broken["(null)"] = errors.New("null was sent instead of the service")
			continue
		}
		alive, maintained := health(e.Checks)
		if !alive {
			continue
		}
		i, err := instanceOf(e)
		if maintained {
			i.State = rpc.StateDraining
		}
		if err == nil {
			err = belongs(e.Service, i, name)
		}
		if err != nil {
			broken[e.Service.ID] = err
			continue
		}
		list = append(list, i)
	}
	registry.Sort(list)
	// A process whose requests alternate between agents is registered at each of them.
	list = slices.CompactFunc(list, func(a, b rpc.Instance) bool { return a.ID == b.ID })
	return list, broken
}

// belongs returns an error if a service does not have the requested name, or if its metadata names
// a topic that does not match the name. ACL policies apply to names, but a token that may write one
// service can give it any metadata.
func belongs(s *api.AgentService, i rpc.Instance, name string) error {
	if of := serviceName(topicOf(i)); s.Service != name || of != name {
		return fmt.Errorf("its name is %q, and its metadata says topic %q of exchange %q, whose services have the name %q",
			s.Service, i.Topic, i.Exchange, of)
	}
	return nil
}

// health returns whether a service is alive, which means that neither it nor its node has a
// critical check, and whether an operator put either into maintenance. The critical check of
// maintenance mode does not count. Warnings do not count either: they are for people, about a node
// whose disk is nearly full, for example.
func health(checks api.HealthChecks) (alive, maintained bool) {
	for _, c := range checks {
		switch {
		case c == nil:
		case c.CheckID == api.NodeMaint || strings.HasPrefix(c.CheckID, api.ServiceMaintPrefix):
			maintained = true
		case c.Status == api.HealthCritical:
			return false, maintained
		}
	}
	return true, maintained
}

// instanceOf returns the instance that a service stands for.
func instanceOf(e *api.ServiceEntry) (rpc.Instance, error) {
	s := e.Service
	for _, key := range []string{metaTopic, metaInstance, metaBoot} {
		if s.Meta[key] == "" {
			return rpc.Instance{}, fmt.Errorf("its metadata has no %s", key)
		}
	}
	implemented, err := versions(s.Meta)
	if err != nil {
		return rpc.Instance{}, err
	}
	addr, err := addrOf(e)
	if err != nil {
		return rpc.Instance{}, err
	}
	return rpc.Instance{
		ID: s.Meta[metaInstance], BootID: s.Meta[metaBoot],
		Exchange: s.Meta[metaExchange], Topic: s.Meta[metaTopic], Server: s.Meta[metaServer],
		Addr: addr, State: rpc.State(s.Meta[metaState]), Implemented: implemented, Sessions: s.Meta[metaSessions] == yes,
		Zone: s.Meta[metaZone],
	}, nil
}

// addrOf returns the address of a service. A service without its own address is at the address of
// its node.
func addrOf(e *api.ServiceEntry) (string, error) {
	host := e.Service.Address
	if host == "" && e.Node != nil {
		host = e.Node.Address
	}
	addr := net.JoinHostPort(host, strconv.Itoa(e.Service.Port))
	if _, _, err := splitAddr(addr); err != nil {
		return "", fmt.Errorf("its address %q cannot be connected to", addr)
	}
	return addr, nil
}
