package rpcapi

import (
	"cmp"
	"fmt"
	"time"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Config has the settings of Nova's configuration about RPC. The zero value has Nova's defaults,
// except for the upgrade level of compute.
type Config struct {
	UpgradeLevels UpgradeLevels
	// ResponseTimeout is rpc_response_timeout: how long a call may take, and how long a cast may
	// wait for its server. 0 means a minute.
	ResponseTimeout time.Duration
	// LongTimeout is long_rpc_timeout: how long a call may take that waits for long work, such as
	// the preparation of a migration. 0 means half an hour.
	LongTimeout time.Duration
}

// UpgradeLevels are the latest versions that are sent to each service: the section [upgrade_levels]
// of the configuration. Each is a version, "auto", or "none" for no limit.
type UpgradeLevels struct {
	// Compute may also be the name of a release. Empty means "auto": the version follows the
	// running computes, so upgrades need no configuration.
	Compute string
	// Empty means "none" for Conductor and Scheduler. These services need no limit, because they
	// are upgraded before the computes, all at once.
	Conductor string
	Scheduler string
}

const (
	defaultResponseTimeout = time.Minute
	defaultLongTimeout     = 30 * time.Minute
	// monitorTimeout is how long a server may be silent in a monitored call. Calls with a longer
	// timeout are monitored.
	monitorTimeout = time.Minute
)

// noCap is the level without a limit.
const noCap = "none"

// releases are the versions that the computes of each release implement.
var releases = map[string]string{
	"queens": "5.0", "rocky": "5.0", "stein": "5.1", "train": "5.3", "ussuri": "5.11", "victoria": "5.12",
	"wallaby": "6.0", "xena": "6.0", "yoga": "6.0", "zed": "6.1", "antelope": "6.2", "bobcat": "6.2",
	"caracal": "6.3", "dalmatian": "6.3", "epoxy": "6.4", "flamingo": "6.4", "gazpacho": "6.5",
}

// Check returns an error if a level is invalid. Without the check, each message would fail with it.
func (l UpgradeLevels) Check() error {
	for _, service := range []struct {
		name, level string
		aliases     map[string]string
	}{{"compute", l.Compute, releases}, {"conductor", l.Conductor, nil}, {"scheduler", l.Scheduler, nil}} {
		if _, err := rpc.ParseCap(versionCap(service.level), service.aliases); err != nil {
			return fmt.Errorf("the upgrade level of %s is %q: %w", service.name, service.level, err)
		}
	}
	return nil
}

func versionCap(level string) string {
	if level == noCap {
		return oslorpc.None
	}
	return level
}

// These functions return the options of the clients for each service.
func (c Config) compute() []oslorpc.ClientOption {
	return append(c.client(cmp.Or(c.UpgradeLevels.Compute, oslorpc.AutoCap)), oslorpc.WithVersionAliases(releases))
}
func (c Config) conductor() []oslorpc.ClientOption   { return c.client(c.UpgradeLevels.Conductor) }
func (c Config) computeTask() []oslorpc.ClientOption { return c.client(noCap) } // as in Nova
func (c Config) scheduler() []oslorpc.ClientOption   { return c.client(c.UpgradeLevels.Scheduler) }

// client returns the options of a client with an upgrade level.
func (c Config) client(level string) []oslorpc.ClientOption {
	return append(bounded(cmp.Or(c.ResponseTimeout, defaultResponseTimeout)), oslorpc.WithVersionCap(versionCap(level)))
}

// long returns the options of calls that wait for long work. The server may take long, but it must
// send heartbeats.
func (c Config) long() []oslorpc.ClientOption {
	return bounded(cmp.Or(c.LongTimeout, defaultLongTimeout))
}

// bounded returns the options of messages with a timeout. Calls with a timeout longer than the
// monitor timeout are monitored, as in Nova. Otherwise a call to a server that hangs would wait for
// the whole timeout.
func bounded(timeout time.Duration) []oslorpc.ClientOption {
	options := []oslorpc.ClientOption{oslorpc.WithTimeout(timeout)}
	if timeout > monitorTimeout {
		options = append(options, oslorpc.WithCallMonitorTimeout(monitorTimeout))
	}
	return options
}
