package host

import (
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/oslorpc/oslorpc/internal/phase"
)

// healths is the status of a process in gRPC's health service. The names are "" for the process;
// "EXCHANGE/TOPIC" for each topic that it ever served, and also "TOPIC" if that is in the process's
// own exchange; and the name of each typed service. A name is SERVING while an active server has
// it. Servers that are held, draining or stopping do not count.
type healths struct {
	server   *health.Server
	exchange string // the process's own
	names    map[string]bool
}

func newHealths(exchange string) healths {
	h := healths{health.NewServer(), exchange, map[string]bool{}}
	h.follow(nil)
	return h
}

// follow updates the health from the phases of the servers.
func (h healths) follow(runs []*run) {
	serving := map[string]bool{}
	for _, r := range runs {
		active := r.phase.Phase() == phase.Active
		for _, name := range h.namesOf(r) {
			h.names[name] = true
			serving[name] = serving[name] || active
		}
		serving[""] = serving[""] || active
	}
	h.set("", serving[""])
	for name := range h.names {
		h.set(name, serving[name])
	}
}

// namesOf returns the names of a server in the health service.
func (h healths) namesOf(r *run) []string {
	i := &r.intake.Instance
	names := []string{i.Exchange + "/" + i.Topic}
	if i.Exchange == h.exchange {
		names = append(names, i.Topic)
	}
	for service := range r.intake.Services {
		names = append(names, service)
	}
	return names
}

func (h healths) set(name string, serving bool) {
	status := healthpb.HealthCheckResponse_NOT_SERVING
	if serving {
		status = healthpb.HealthCheckResponse_SERVING
	}
	h.server.SetServingStatus(name, status)
}
