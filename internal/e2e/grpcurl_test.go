//go:build unix

package e2e

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/internal/testbin"
)

// grpcurl can use a server. It knows only what the server reports by reflection.
func TestGrpcurl(t *testing.T) {
	t.Parallel()
	binary, err := testbin.Find("grpcurl", "tools", "github.com/fullstorydev/grpcurl/cmd/grpcurl")
	if err != nil {
		t.Fatal(err)
	}
	url := "local://" + filepath.Join(t.TempDir(), "registry")
	start(t, url, "a")
	_, transport := open(t, url)
	instances, err := transport.Instances(t.Context())
	if err != nil || len(instances) != 1 {
		t.Fatalf("listed: %v, %v", instances, err)
	}
	address := instances[0].Addr

	for name, test := range map[string]struct {
		args []string
		says []string
		code int // grpcurl exits with 64 and the status code
	}{
		"list":     {[]string{address, "list"}, []string{"oslorpc.v1.RPCService", "oslorpc.v1.IntrospectionService", "grpc.health.v1.Health"}, 0},
		"describe": {[]string{address, "describe", "oslorpc.v1.Message"}, []string{"kwargs", "instance_id"}, 0},
		"call": {
			[]string{"-d", `{"message":{"target":{"topic":"e2e"},"method":"work","kwargs":{"value":{"id":"x","length":0}}}}`, address, "oslorpc.v1.RPCService/Call"},
			[]string{`"value": "a"`}, 0,
		},
		"call with JSON": {
			[]string{"-d", `{"message":{"target":{"topic":"e2e"},"method":"work","kwargs":{"json":"{\"id\":\"y\",\"length\":0}"}}}`, address, "oslorpc.v1.RPCService/Call"},
			[]string{`"json": "\"a\""`}, 0,
		},
		"integer that a value cannot hold": {
			[]string{"-d", `{"message":{"target":{"topic":"e2e"},"method":"work","kwargs":{"value":{"id":"z","length":9007199254740993}}}}`, address, "oslorpc.v1.RPCService/Call"},
			[]string{"InvalidArgument", `"path": "/length"`, `"notStarted": true`, "json"}, 64 + 3,
		},
		"unknown method": {
			[]string{"-d", `{"message":{"target":{"topic":"e2e"},"method":"nope"}}`, address, "oslorpc.v1.RPCService/Call"},
			[]string{"Unimplemented", "ERROR_KIND_NO_SUCH_METHOD", "work"}, 64 + 12,
		},
		"header that contradicts": {
			[]string{"-H", "oslorpc-topic: other", "-d", `{"message":{"target":{"topic":"e2e"},"method":"work"}}`, address, "oslorpc.v1.RPCService/Call"},
			[]string{"InvalidArgument", "ERROR_KIND_INVALID_TARGET", `"notStarted": true`, "oslorpc-topic", `"other"`, `"e2e"`}, 64 + 3,
		},
		"no target": {[]string{address, "oslorpc.v1.RPCService/Call"}, []string{"InvalidArgument", "message"}, 64 + 3},
		"health":    {[]string{"-d", `{"service":"e2e"}`, address, "grpc.health.v1.Health/Check"}, []string{"SERVING"}, 0},
		"introspection": {
			[]string{address, "oslorpc.v1.IntrospectionService/GetInfo"}, []string{`"topic": "e2e"`, `"name": "work"`, `"STATE_ACTIVE"`}, 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), binary, append([]string{"-plaintext"}, test.args...)...)
			out, err := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != test.code {
				t.Errorf("exit code %d (%v), want %d", code, err, test.code)
			}
			for _, part := range test.says {
				if !strings.Contains(string(out), part) {
					t.Errorf("no %s in\n%s", part, out)
				}
			}
			if test.code == 0 && bytes.HasPrefix(out, []byte("{")) && !json.Valid(out) {
				t.Errorf("not JSON:\n%s", out)
			}
		})
	}
}
