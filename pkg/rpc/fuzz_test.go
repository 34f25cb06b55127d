package rpc_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Every target is either valid, or an InvalidTarget for all roles, and its text can be logged as
// one line.
func FuzzTarget(f *testing.F) {
	f.Add("openstack", "compute", "ns", "1.0", "host1", false)
	f.Add("", "", "", "", "", true)
	f.Add("", "t.s1", "", "1.2.3", "s", false)
	f.Add("x\n", "\x00", "\xff", "01.0", "\u0085", true)
	f.Add(strings.Repeat("é", 128), "t", strings.Repeat("n", 255), "1", strings.Repeat("s", 256), false)
	f.Fuzz(func(t *testing.T, exchange, topic, namespace, version, server string, fanout bool) {
		target := rpc.Target{
			Exchange: exchange, Topic: topic, Namespace: namespace, Version: version, Server: server, Fanout: fanout,
		}
		err := target.Validate()
		if asClient := target.ValidateClient(); (asClient == nil) != (err == nil && topic != "") {
			t.Errorf("valid: %v, as a client's: %v", err, asClient)
		}
		if asServer := target.ValidateServer(); (asServer == nil) != (err == nil && topic != "" && server != "") {
			t.Errorf("valid: %v, as a server's: %v", err, asServer)
		}
		texts := []string{target.String()}
		if err != nil {
			if !errors.Is(err, rpc.InvalidTarget) || !rpc.SafeToRetry(err) {
				t.Errorf("got %v, want an InvalidTarget that is safe to retry", err)
			}
			texts = append(texts, err.Error())
		} else if _, err := rpc.VersionOrDefault(version); err != nil {
			t.Errorf("the version of a valid target: %v", err)
		}
		for _, text := range texts {
			if strings.ContainsFunc(text, rpc.IsControl) {
				t.Errorf("control characters in %q", text)
			}
		}
	})
}
