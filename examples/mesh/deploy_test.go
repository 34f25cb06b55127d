//go:build unix

package mesh

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"github.com/oslorpc/oslorpc/internal/testbin"
)

// stopTime is how many seconds a server takes to stop at most: WithStopTimeout and the cleanup
// after it.
const stopTime = 27

// objects are the objects of a manifest.
type objects struct {
	deployments []*apps.Deployment
	services    []*core.Service
	policies    []*networking.NetworkPolicy
}

// read decodes the objects of a manifest as strictly as `kubectl apply` with server-side
// validation. An unknown field or a duplicate field is an error.
func read(t *testing.T, text []byte) (all objects, err error) {
	t.Helper()
	for document := range bytes.SplitSeq(text, []byte("\n---\n")) {
		var kind struct{ APIVersion, Kind string }
		if err := yaml.Unmarshal(document, &kind); err != nil {
			return all, err
		}
		var into any
		switch kind.APIVersion + " " + kind.Kind {
		case "apps/v1 Deployment":
			d := &apps.Deployment{}
			all.deployments, into = append(all.deployments, d), d
		case "v1 Service":
			s := &core.Service{}
			all.services, into = append(all.services, s), s
		case "networking.k8s.io/v1 NetworkPolicy":
			p := &networking.NetworkPolicy{}
			all.policies, into = append(all.policies, p), p
		case "policy/v1 PodDisruptionBudget":
			into = &policy.PodDisruptionBudget{}
		default:
			return all, errors.New("there is no check for " + kind.Kind + " of " + kind.APIVersion)
		}
		if err := yaml.UnmarshalStrict(document, into); err != nil {
			return all, err
		}
	}
	return all, nil
}

// The manifests have no field that Kubernetes does not know, and their references match.
func TestKubernetes(t *testing.T) {
	files, err := filepath.Glob("kubernetes/*.yaml")
	if err != nil || len(files) != 2 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all, err := read(t, text)
			if err != nil || len(all.deployments) != 1 || len(all.policies) != 1 {
				t.Fatalf("got %+v, %v", all, err)
			}
			pod := &all.deployments[0].Spec.Template
			checkPod(t, pod)
			if labels := all.policies[0].Spec.PodSelector.MatchLabels; labels["app"] != pod.Labels["app"] {
				t.Errorf("the NetworkPolicy is for %v", labels)
			}
			for _, s := range all.services {
				if s.Spec.Selector["app"] != pod.Labels["app"] || s.Spec.Ports[0].TargetPort != intstr.FromString("grpc") {
					t.Errorf("the Service %s leads to %v", s.Name, s.Spec)
				}
			}
			typo := bytes.Replace(text, []byte("readinessProbe:"), []byte("readynessProbe:"), 1)
			if _, err := read(t, typo); err == nil || !strings.Contains(err.Error(), `unknown field "readynessProbe"`) {
				t.Errorf("a mistake in the manifest gives %v", err)
			}
		})
	}
}

func checkPod(t *testing.T, pod *core.PodTemplateSpec) {
	t.Helper()
	c := pod.Spec.Containers[0]
	if probe := c.ReadinessProbe.GRPC; probe == nil || probe.Port != c.Ports[0].ContainerPort || *probe.Service == "" {
		t.Errorf("the readiness is %+v", c.ReadinessProbe)
	}
	if c.LivenessProbe != nil {
		t.Error("a busy server would be killed")
	}
	if sleep, grace := c.Lifecycle.PreStop.Sleep.Seconds, *pod.Spec.TerminationGracePeriodSeconds; grace <= sleep+stopTime {
		t.Errorf("the pod has %d s, and takes %d s and %d s to stop", grace, sleep, stopTime)
	}
	for _, v := range c.VolumeMounts {
		if v.Name != pod.Spec.Volumes[0].Name {
			t.Errorf("there is no volume %s", v.Name)
		}
	}
	known := map[string]bool{}
	for _, e := range c.Env {
		known[e.Name] = true
	}
	for _, arg := range c.Args {
		if _, after, uses := strings.Cut(arg, "$("); uses {
			if name, _, _ := strings.Cut(after, ")"); !known[name] {
				t.Errorf("%s uses %s, which is not set", arg, name)
			}
		}
	}
}

// Docker's own parser and linter accept the Dockerfile, and the programs that it builds are static.
func TestDockerfile(t *testing.T) {
	text, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range parsed.Warnings {
		t.Errorf("warning: %s", w.Short)
	}
	lint := linter.New(&linter.Config{Warn: func(rule, description, _, message string, _ []parser.Range) {
		t.Errorf("%s: %s (%s)", rule, message, description)
	}})
	stages, _, err := instructions.Parse(parsed.AST, lint)
	if err != nil || len(stages) != 2 {
		t.Fatalf("%d stages, %v", len(stages), err)
	}
	if base := stages[1].BaseName; !strings.Contains(base, "distroless/static") {
		t.Errorf("the image is built on %s", base)
	}
	for _, program := range builds(t, stages[0]) {
		static(t, program)
	}
}

// builds runs the commands of a stage that build programs, with the files that its COPY of the
// repository would copy, and returns the programs.
func builds(t *testing.T, stage instructions.Stage) (programs []string) {
	t.Helper()
	out := t.TempDir()
	for _, c := range stage.Commands {
		run, is := c.(*instructions.RunCommand)
		if !is {
			continue
		}
		line := strings.ReplaceAll(strings.Join(run.CmdLine, " "), "/out/", out+"/")
		shell := exec.CommandContext(t.Context(), "sh", "-c", line)
		shell.Dir, shell.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
		if text, err := shell.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, text)
		}
	}
	programs, err := filepath.Glob(out + "/*")
	if err != nil || len(programs) != 2 {
		t.Fatal(programs, err)
	}
	return programs
}

func static(t *testing.T, program string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		return
	}
	f, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			text, _ := io.ReadAll(p.Open())
			t.Errorf("%s needs %q", program, text)
		}
	}
}

// systemd accepts the units, and the units give the programs time to drain.
func TestSystemd(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("this machine has no systemd-analyze")
	}
	units, err := filepath.Glob("systemd/*.service")
	if err != nil || len(units) != 2 {
		t.Fatal(units, err)
	}
	for _, file := range units {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(text), "\nKillSignal=SIGTERM\n") || !strings.Contains(string(text), "\nTimeoutStopSec=40\n") {
				t.Error("the server has no time to drain")
			}
			if out, err := verify(t, file, string(text)); err != nil || out != "" {
				t.Errorf("systemd-analyze verify: %v\n%s", err, out)
			}
			if out, err := verify(t, file, strings.Replace(string(text), "TimeoutStopSec", "TimeoutStoppSec", 1)); err == nil && out == "" {
				t.Error("a mistake in the unit goes unseen")
			}
		})
	}
}

// verify makes systemd check a unit. The programs of the unit are in /usr/local/bin on a host, and
// verify substitutes another program on this machine.
func verify(t *testing.T, file, text string) (string, error) {
	t.Helper()
	for _, program := range []string{"stock", "oslorpc"} {
		text = strings.ReplaceAll(text, "/usr/local/bin/"+program, "/bin/true")
	}
	copied := filepath.Join(t.TempDir(), filepath.Base(file))
	if err := os.WriteFile(copied, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--man=no", "--recursive-errors=no", copied).CombinedOutput()
	return string(out), err
}

// Consul accepts the configuration of a server, and refuses a configuration with a mistake.
func TestConsulConfiguration(t *testing.T) {
	consul, err := testbin.Find("consul", filepath.Join("tools", "consul"), "github.com/hashicorp/consul")
	if err != nil {
		t.Fatal(err)
	}
	validate := func(file string) ([]byte, error) {
		return exec.CommandContext(context.Background(), consul, "validate", file).CombinedOutput()
	}
	if out, err := validate("consul/server.hcl"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	text, err := os.ReadFile("consul/server.hcl")
	if err != nil {
		t.Fatal(err)
	}
	wrong := filepath.Join(t.TempDir(), "server.hcl")
	if err := os.WriteFile(wrong, bytes.Replace(text, []byte("default_policy"), []byte("default_polcy"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := validate(wrong); err == nil || !strings.Contains(string(out), "default_polcy") {
		t.Errorf("a mistake gives %v\n%s", err, out)
	}
}
