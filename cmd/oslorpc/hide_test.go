package main

import (
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/trust"
)

// TestServeHides checks that the flag takes precedence over the URL's parameter, and the parameter
// over the variable. It also checks that the commands show what a server hides.
func TestServeHides(t *testing.T) {
	for _, test := range []struct {
		flag, parameter, variable string
		failures, introspection   bool
	}{
		{flag: "failures,introspection", parameter: "reflection", failures: true, introspection: true},
		{parameter: "failures", variable: "introspection", failures: true},
		{variable: "introspection,reflection", introspection: true},
		{},
	} {
		t.Setenv(trust.HideVariable, test.variable)
		f := newFleet(t)
		plain := f.url
		if test.parameter != "" {
			f.url += "?hide=" + test.parameter
		}
		var flags []string
		if test.flag != "" {
			flags = []string{"--hide", test.flag}
		}
		f.serve("node1", flags...)
		f.url = plain
		r := f.run("call", "demo", "fail", "panic:=true")
		if r.code != 5 || strings.Contains(r.errs, "as failure ") != test.failures || strings.Contains(r.errs, "panic") == test.failures {
			t.Errorf("%+v: a panic ends with %d: %s", test, r.code, r.errs)
		}
		if r := f.run("info", "demo"); (r.code == 10) != test.introspection || strings.Contains(r.errs, "introspection is hidden") != test.introspection {
			t.Errorf("%+v: info ends with %d: %s%s", test, r.code, r.out, r.errs)
		}
		if r := f.run("upgrade", "check", "demo", "--to", "1.0"); test.introspection && (r.code == 0 || !strings.Contains(r.out+r.errs, "introspection is hidden")) {
			t.Errorf("%+v: upgrade check ends with %d: %s%s", test, r.code, r.out, r.errs)
		}
		f.ok("ping", "demo")
	}
	r := newFleet(t).run("serve", "--topic", "demo", "--hide", "all")
	if r.code != 2 || !strings.Contains(r.errs, "--hide") {
		t.Errorf("serve --hide all ends with %d: %s", r.code, r.errs)
	}
}
