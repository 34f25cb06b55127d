package consul

import (
	"context"
	"net/http"

	"github.com/hashicorp/consul/api"
)

// checkLoss says what happened to the check that keeps the process alive.
type checkLoss int

const (
	checkKept checkLoss = iota
	checkGone
	// checkTaken means that a service of another token has taken over the check's id.
	checkTaken
)

// repair registers wanted services that Consul lost, or has in another form. It reads all
// registrations of this process with one request. If the check of the process is lost, repair
// registers the process again even if its service is unchanged.
func (p *publisher) repair(ctx context.Context, loss checkLoss) error {
	if err := p.take(ctx); err != nil {
		return err
	}
	defer p.give()
	there, err := p.client.registered(ctx, p.wanted[0].Meta[metaBoot])
	if err != nil {
		return err
	}
	if loss == checkTaken {
		process := p.wanted[0].ID
		p.renew(func(r *registration) ids {
			if r.ID == process {
				return newIDs(r.instance.BootID)
			}
			return r.ids()
		})
	}
	for n, s := range p.wanted {
		is := there[s.ID]
		gone := is == nil || n == 0 && loss != checkKept
		p.lost = p.lost || gone && (n > 0 || loss != checkTaken)
		if gone || !same(is, s.AgentServiceRegistration) {
			p.placed[s.ID] = placement{registration: s}
		}
	}
	err = p.place(ctx, p.wanted)
	if code(err) == http.StatusForbidden {
		p.renewForeign(there)
		err = p.place(ctx, p.wanted)
	}
	if err != nil {
		return err
	}
	p.tellLost()
	return nil
}

// renewForeign gives new ids to services that Consul refused to register and does not have. After
// Consul lost this process's services, services of another token may have taken over their ids.
func (p *publisher) renewForeign(there map[string]*api.AgentService) {
	p.renew(func(r *registration) ids {
		if is := there[r.ID]; p.placed[r.ID].sure || is != nil && is.Service == r.Name {
			return r.ids()
		}
		delete(p.placed, r.ID) // the service with that id belongs to another program
		if isProcess(r.Name) {
			return newIDs(r.instance.BootID)
		}
		return newIDs(r.instance.ID)
	})
}

// renew changes the ids of wanted services. The caller must hold the turn.
func (p *publisher) renew(names func(*registration) ids) {
	wanted := make([]*registration, len(p.wanted))
	process := ""
	for n, r := range p.wanted {
		of := names(r)
		if n == 0 {
			process = of.service
		}
		wanted[n] = r.as(of, process)
	}
	if len(wanted) > 0 && p.heart != nil && p.heart.process != wanted[0] {
		p.heart.process = wanted[0]
	}
	p.wanted = wanted
}

// as returns the registration with other ids, and with process as the id of the process's service.
func (r *registration) as(names ids, process string) *registration {
	follows := r.Check.AliasService != ""
	if r.ids() == names && (!follows || r.Check.AliasService == process) {
		return r
	}
	s, check := *r.AgentServiceRegistration, *r.Check
	s.ID, s.Check, check.CheckID = names.service, &check, names.check
	if follows {
		check.AliasService = process
	}
	return &registration{&s, r.instance}
}

// tellLost reports a lapse after all lost services are registered again.
func (p *publisher) tellLost() {
	if p.lost {
		p.lost = false
		p.lapsed("Consul had lost the registration")
	}
}
