// Package upgrade computes what operators need to know to upgrade a fleet: which server implements
// which version, which servers hold the automatic version cap down, which callers ask for old
// methods, and whether a version can be sent to every server. It makes no requests: its callers
// list the instances and query them.
package upgrade

import (
	"time"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Observation is an instance's report about itself, or the reason why there is none.
type Observation struct {
	Instance rpc.Instance
	// Info is nil if the instance did not answer.
	Info *rpc.Info
	// Err is why the instance did not answer, nil if it did.
	Err error
}

// Observe returns the observation of an instance, given the answer of its process. If the process
// no longer runs the instance, the observation has an error of kind [rpc.NoInstance].
func Observe(i rpc.Instance, info *rpc.Info, err error) Observation {
	if err != nil {
		return Observation{Instance: i, Err: err}
	}
	o := Observation{Instance: i, Info: info}
	if len(o.Servers()) == 0 {
		return Observation{Instance: i, Err: &rpc.Error{
			Kind: rpc.NoInstance, NotStarted: true, Server: i.Server, InstanceID: i.ID, Addr: i.Addr,
			Message: "the process there no longer runs it",
		}}
	}
	return o
}

// Servers returns the reports about the instance's servers. Usually there is one report. There may
// be several for a static address, and there is none if the instance did not answer.
func (o *Observation) Servers() []rpc.ServerInfo {
	if o.Info == nil {
		return nil
	}
	var list []rpc.ServerInfo
	for _, s := range o.Info.Servers {
		if o.Instance.ID == "" || o.Instance.ID == s.InstanceID {
			list = append(list, s)
		}
	}
	return list
}

// Uptime returns the uptime of the process, in whole seconds. It returns false if the process did
// not answer.
func (o *Observation) Uptime() (time.Duration, bool) {
	if o.Info == nil {
		return 0, false
	}
	return o.Info.Uptime.Round(time.Second), true
}

// FirstError returns the error of the first instance that did not answer, or nil if all answered.
func FirstError(seen []Observation) error {
	for _, o := range seen {
		if o.Err != nil {
			return o.Err
		}
	}
	return nil
}
