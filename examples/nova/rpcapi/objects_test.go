package rpcapi_test

import (
	"encoding/json"
	"testing"

	"github.com/oslorpc/oslorpc/examples/nova/rpcapi"
)

// TestInstanceOfNova decodes an instance as Nova's own ComputeAPI sends it.
func TestInstanceOfNova(t *testing.T) {
	sent := `{"nova_object.name": "Instance", "nova_object.namespace": "nova", "nova_object.version": "2.8",
		"nova_object.changes": ["uuid"], "nova_object.data": {"uuid": "u1", "host": "c1", "task_state": null, "vcpus": 1,
		"flavor": {"nova_object.name": "Flavor", "nova_object.data": {"name": "tiny", "memory_mb": 512}}}}`
	for _, text := range []string{sent, `{"uuid": "u1", "host": "c1", "flavor": {"name": "tiny", "memory_mb": 512}}`} {
		var got rpcapi.Instance
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatal(err)
		}
		want := rpcapi.Instance{UUID: "u1", Host: "c1", Flavor: rpcapi.Flavor{Name: "tiny", MemoryMB: 512}}
		if got != want {
			t.Errorf("%s is read as %+v, want %+v", text, got, want)
		}
	}
}
