package rpcapi_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/examples/nova/rpcapi"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/oslorpctest"
)

func TestUpgradeLevelsCheck(t *testing.T) {
	for _, good := range []rpcapi.UpgradeLevels{
		{},
		{Compute: "auto", Conductor: "auto", Scheduler: "auto"},
		{Compute: "none", Conductor: "none", Scheduler: "none"},
		{Compute: "5.13", Conductor: "3.0", Scheduler: "4.5"},
		{Compute: "queens"}, {Compute: "wallaby"}, {Compute: "gazpacho"},
	} {
		if err := good.Check(); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
	for service, levels := range map[string][]rpcapi.UpgradeLevels{
		"compute":   {{Compute: "hibiscus"}, {Compute: "6"}, {Compute: "Queens"}, {Compute: " auto"}},
		"conductor": {{Conductor: "queens"}, {Conductor: "3.x"}},
		"scheduler": {{Scheduler: "queens"}, {Compute: "queens", Scheduler: "all"}},
	} {
		for _, bad := range levels {
			err := bad.Check()
			level := reflect.ValueOf(bad).FieldByName(strings.ToUpper(service[:1]) + service[1:]).String()
			if err == nil || !strings.Contains(err.Error(), service) || !strings.Contains(err.Error(), level) {
				t.Errorf("%+v: %v", bad, err)
			}
		}
	}
}

// Each service has its upgrade level, except for the tasks of conductors. Without a level there is
// no limit. A message that a level forbids is not sent.
func TestUpgradeLevels(t *testing.T) {
	f := newFleet(t)
	serveAll(f)
	a := &attempts{}
	transport := f.Transport(a.option())
	for method, levels := range map[string]map[rpcapi.UpgradeLevels]bool{
		"object_action": {
			{}: true, {Conductor: "none"}: true, {Conductor: "3.0"}: true, {Conductor: "auto"}: true, {Conductor: "2.9"}: false,
			{Compute: "5.0", Scheduler: "4.0"}: true,
		},
		"migrate_server":  {{}: true, {Conductor: "3.0"}: true, {Conductor: "1.0"}: true},
		"build_instances": {{}: true, {Conductor: "3.0"}: true},
		"select_destinations": {
			{}: true, {Scheduler: "none"}: true, {Scheduler: "4.5"}: true, {Scheduler: "auto"}: true, {Scheduler: "4.4"}: false,
			{Compute: "5.0", Conductor: "2.0"}: true,
		},
		"get_host_uptime": {{Conductor: "2.0", Scheduler: "2.0"}: true, {Compute: "7.0"}: false},
	} {
		for level, passes := range levels {
			before := a.Load()
			err := callFor(transport, rpcapi.Config{UpgradeLevels: level}, method)(t.Context())
			made := a.Load() - before
			if passes && (err != nil || made != 1) || !passes && (oslorpc.KindOf(err) != oslorpc.VersionCapExceeded || made != 0) {
				t.Errorf("%s at %+v: %d attempts, %v", method, level, made, err)
			}
		}
	}
}

// A message to a compute without a host would go to any compute. It is refused instead.
func TestNoHost(t *testing.T) {
	f := newFleet(t)
	serveAll(f)
	for _, level := range []string{"", "none", "5.0"} {
		a := &attempts{}
		api := rpcapi.NewComputeAPI(f.Transport(a.option()), rpcapi.Config{UpgradeLevels: rpcapi.UpgradeLevels{Compute: level}})
		for m := range reflect.TypeOf(api).Methods() {
			var zeros []any
			for i := 2; i < m.Type.NumIn(); i++ { // after the receiver and ctx
				zeros = append(zeros, reflect.Zero(m.Type.In(i)).Interface())
			}
			_, err := invoke(t.Context(), api, m.Name, zeros)
			if !errors.Is(err, rpcapi.ErrNoHost) {
				t.Errorf("%s to no host: %v", m.Name, err)
			}
		}
		if made := a.Load(); made != 0 || len(f.Messages()) != 0 {
			t.Errorf("%d attempts, messages %v", made, f.Messages())
		}
	}
}

// The errors of Nova arrive as their own types, and servers do not log them.
func TestErrors(t *testing.T) {
	var log strings.Builder
	f := newFleet(t, oslorpc.WithLogger(logTo(&log)))
	var failure error
	m := manager{do: func(context.Context, any) error { return failure }}
	servers := []*oslorpctest.Server{
		serve(f, "compute", "node2", compute(m, "6.5")), serve(f, "conductor", "ctl", conductor(m)),
		serve(f, "scheduler", "ctl", scheduler(m)),
	}
	transport := f.Transport()
	notFound, noHost := &rpcapi.InstanceNotFound{InstanceID: "u"}, &rpcapi.NoValidHost{Reason: "all are full"}
	cannot := &rpcapi.MigrationError{Reason: "it has a disk of its own"}
	for _, c := range []struct {
		method string
		err    error
	}{
		{"object_action", notFound},
		{"object_action", &rpcapi.UnexpectedTaskState{InstanceID: "u", Expected: "", Actual: rpcapi.Migrating}},
		{"object_class_action_versions", notFound},
		{"get_console_output", notFound},
		{"select_destinations", noHost},
		{"migrate_server", noHost},
		{"migrate_server", cannot},
		{"check_can_live_migrate_destination", cannot},
	} {
		failure = c.err
		for _, level := range []string{"", "5.0"} {
			config := rpcapi.Config{UpgradeLevels: rpcapi.UpgradeLevels{Compute: level}}
			err := callFor(transport, config, c.method)(t.Context())
			got, want := fmt.Sprintf("%#v", novaError(err)), fmt.Sprintf("%#v", c.err)
			if got != want || oslorpc.KindOf(err) != oslorpc.Remote {
				t.Errorf("%s failed with %s in %v", c.method, got, err)
			}
		}
	}
	for _, s := range servers {
		s.Stop()
	}
	if log.Len() != 0 {
		t.Errorf("the log is %s", &log)
	}
}
