package consultest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/hashicorp/consul/api"
)

// Token is the management token of agents that have ACLs.
const Token = "5ca1ab1e-0000-4000-8000-000000000001" //nolint:gosec // It opens nothing but tests.

// waitReady waits until the agent at the address is the right one, has a leader, and lists
// registrations.
func waitReady(ctx context.Context, addr string, p *process) error {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client, err := api.NewClient(&api.Config{
		Address: addr, Scheme: "http", Token: Token, HttpClient: &http.Client{Transport: transport, Timeout: 5 * time.Second},
	})
	if err != nil {
		return err
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready(ctx, client, p.node)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.exited:
			return errors.New("the agent exited")
		case <-ctx.Done():
			return fmt.Errorf("the agent is not ready after %s: %w", readyWithin, err)
		}
	}
}

func ready(ctx context.Context, client *api.Client, node string) error {
	info, err := client.Agent().Self()
	if err != nil {
		return err
	}
	if got := info["Config"]["NodeName"]; got != node {
		return fmt.Errorf("another agent has the port: %v", got)
	}
	const name = "consultest-ready"
	register := api.ServiceRegisterOpts{}.WithContext(ctx)
	if err := client.Agent().ServiceRegisterOpts(&api.AgentServiceRegistration{Name: name}, register); err != nil {
		return err
	}
	q := new(api.QueryOptions).WithContext(ctx)
	entries, _, err := client.Health().Service(name, "", true, q)
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		return errors.New("the agent does not list a service that was registered")
	}
	return client.Agent().ServiceDeregisterOpts(name, q)
}
