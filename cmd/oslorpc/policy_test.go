package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const policyText = `mode: enforce
rules:
  - name: agents report
    from: ["spiffe://cloud/host/*", "user:1000"]
    topic: conductor
    method: "get_*"
    delivery: [call, cast]
  - name: probes
    from: anyone
    services: grpc.health.v1.Health
`

// policyFiles writes the files of a test and returns their directory.
func policyFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestPolicyCommands compares a transcript of the commands that test a policy.
func TestPolicyCommands(t *testing.T) {
	t.Parallel()
	dir := policyFiles(t, map[string]string{
		"p.yaml": policyText, "dry.yaml": strings.Replace(policyText, "enforce", "dry-run", 1),
		"broken.yaml": strings.Replace(policyText, "topic", "topics", 1),
		"right.yaml": `
- {from: spiffe://cloud/host/7, topic: conductor, method: get_volume, expect: allowed, rule: agents report}
- {from: [spiffe://cloud/other, "user:1000"], topic: conductor, method: get_volume, delivery: cast, expect: allowed}
- {from: anyone, topic: conductor, method: get_volume, expect: denied}
- {service: grpc.health.v1.Health/Check, expect: allowed}
`,
		"wrong.yaml": `
- {from: spiffe://cloud/host/7, topic: conductor, method: get_volume, expect: denied}
- {from: spiffe://cloud/host/7, topic: conductor, method: set_volume, expect: allowed}
- {service: grpc.health.v1.Health/Check, expect: allowed, rule: agents report}
`,
		"worse.yaml": "rules:\n- {from: a, topics: a}\n- {to: a, topic: b}\n",
		"bad.yaml":   "- {from: a, expect: maybe}\n- {to: a, expect: denied}\n",
	})
	for _, test := range []struct {
		line string
		code int
		out  string
		errs string
	}{
		{"check p.yaml", 0, "well-formed: 2 rules, enforced\n", ""},
		{"check dry.yaml --output json", 0, `{"dry_run":true,"rules":["agents report","probes"]}` + "\n", ""},
		{"check broken.yaml", 2, "", `broken.yaml:5: a rule has no key "topics"`},
		{"check absent.yaml", 2, "", "absent.yaml"},
		{"check p.yaml --from spiffe://cloud/host/7 --topic conductor --method get_volume", 0, `allowed  by the rule "agents report", DIR/p.yaml:3` + "\n", ""},
		{"check p.yaml --from user:1000 --topic conductor --method get_volume --delivery cast", 0, `allowed  by the rule "agents report", DIR/p.yaml:3` + "\n", ""},
		{"check p.yaml --service grpc.health.v1.Health/Check", 0, `allowed  by the rule "probes", DIR/p.yaml:8` + "\n", ""},
		{
			"check p.yaml --from spiffe://cloud/host/7 --topic conductor --method set_volume --delivery multicall", 1,
			`denied      the closest rule is "agents report", DIR/p.yaml:3` + "\n" +
				`  method    is "set_volume", and the rule has "get_*"` + "\n" +
				`  delivery  is "multicall", and the rule has "call", "cast"` + "\n", "the policy denies this",
		},
		{
			"check dry.yaml --service other.Service/Method --output json", 1,
			`{"allowed":false,"dry_run":true,"rule":"probes","line":8,"misses":[{"field":"services","got":"other.Service/Method",` +
				`"want":["grpc.health.v1.Health"]}]}` + "\n", "in a dry run",
		},
		{"check p.yaml --topic conductor --delivery fanout", 2, "", "--delivery is"},
		{"check p.yaml --ca x", 2, "", "--ca has no effect"},
		{"check", 2, "", "check needs a FILE"},
		{"test p.yaml right.yaml", 0, "4 verdicts are as expected\n", ""},
		{
			"test p.yaml wrong.yaml", 1,
			`DIR/wrong.yaml:2  expected denied                           got allowed by the rule "agents report"` + "\n" +
				`DIR/wrong.yaml:3  expected allowed                          got denied; the closest rule is "agents report"` + "\n" +
				`DIR/wrong.yaml:4  expected allowed by the rule "agents report"  got allowed by the rule "probes"` + "\n",
			"3 of 3 verdicts are not as expected",
		},
		{"test p.yaml right.yaml --output json", 0, `{"cases":4,"unexpected":[]}` + "\n", ""},
		{"test p.yaml bad.yaml", 2, "", "bad.yaml:1: `expect` must be allowed or denied"},
		{"test p.yaml bad.yaml", 2, "", `bad.yaml:2: a case has no key "to"`},
		{"test p.yaml bad.yaml", 2, "", `bad.yaml:1: ` + "`expect` must be allowed or denied\noslorpc: DIR/bad.yaml:2: "},
		{"check worse.yaml", 2, "", "oslorpc: invalid use: DIR/worse.yaml:2: "},
		{"check worse.yaml", 2, "", "\noslorpc: DIR/worse.yaml:3: "},
		{"test broken.yaml right.yaml", 2, "", "broken.yaml:5"},
		{"test p.yaml", 2, "", "test needs a FILE and a TABLE"},
		{"tests", 2, "", `there is no command "policy tests"`},
	} {
		args := strings.Fields("policy " + test.line)
		for i, a := range args {
			if strings.HasSuffix(a, ".yaml") {
				args[i] = filepath.Join(dir, a)
			}
		}
		r := runWith("", args...)
		if r.code != test.code {
			t.Errorf("%s: exit code %d, want %d, with %s", test.line, r.code, test.code, r.errs)
		}
		if out := strings.ReplaceAll(r.out, dir, "DIR"); collapsed(out) != collapsed(test.out) {
			t.Errorf("%s: got\n%swant\n%s", test.line, out, test.out)
		}
		if !strings.Contains(strings.ReplaceAll(r.errs, dir, "DIR"), test.errs) || test.errs == "" && r.errs != "" {
			t.Errorf("%s: stderr is %q, want %q", test.line, r.errs, test.errs)
		}
	}
}

// collapsed returns text without the padding of columns.
func collapsed(text string) string { return strings.Join(strings.Fields(text), " ") }

// TestServeWithPolicy checks that the flag, the URL's parameter and the variable each set the
// policy.
func TestServeWithPolicy(t *testing.T) {
	t.Parallel()
	dir := policyFiles(t, map[string]string{"p.yaml": "rules: [{from: anyone, method: [whoami, Ping, GetInfo]}]"})
	f := newFleet(t)
	f.serve("node1", "--policy", filepath.Join(dir, "p.yaml"))
	if r := f.run("call", "demo", "whoami"); r.code != 0 {
		t.Errorf("an allowed call ends with %d: %s", r.code, r.errs)
	}
	r := f.run("call", "demo", "echo", "a=b")
	if r.code != 10 || !strings.Contains(r.errs, "the policy of the server denies this") {
		t.Errorf("a denied call ends with %d: %s", r.code, r.errs)
	}
	if r := f.run("fanout", "demo", "echo"); r.code != 10 || !strings.Contains(r.out, "failed") {
		t.Errorf("a denied fanout ends with %d: %s%s", r.code, r.out, r.errs)
	}
	if r := f.run("serve", "--topic", "other", "--policy", filepath.Join(dir, "absent.yaml")); r.code != 2 || !strings.Contains(r.errs, "absent.yaml") {
		t.Errorf("a server without its policy ends with %d: %s", r.code, r.errs)
	}
	url := f.url
	f.url = url + "?policy=" + filepath.Join(dir, "absent.yaml")
	if r := f.run("serve", "--topic", "other"); r.code != 2 || !strings.Contains(r.errs, "absent.yaml") {
		t.Errorf("a server without the policy of the URL ends with %d: %s", r.code, r.errs)
	}
	if r := f.run("call", "demo", "whoami"); r.code != 0 {
		t.Errorf("a client with a policy ends with %d: %s", r.code, r.errs)
	}
}
