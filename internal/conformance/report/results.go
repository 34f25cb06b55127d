package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// event is a line of go test -json.
type event struct {
	Action, Package, ImportPath, Test, Output, Key, Value string
}

// result is what is known about a test. A result without a name is about a whole package.
type result struct {
	pkg, name, action, output, because string
	leftOut                            []string
	subtests, failedSubtests           int
}

// results has the result of each test, in the order in which the tests began.
type results struct {
	byName map[[2]string]*result
	order  []*result
}

// read reads the output of go test -json. A line that is not an event is an error: a tool that
// fails prints such lines.
func read(in io.Reader) (*results, error) {
	r := &results{byName: map[[2]string]*result{}}
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			var e event
			if err := json.Unmarshal(line, &e); err != nil {
				return r, fmt.Errorf("go test printed a line that is not an event: %s", bytes.TrimSpace(line))
			}
			r.add(e)
		}
		if errors.Is(err, io.EOF) {
			r.count()
			return r, nil
		}
		if err != nil {
			return r, err
		}
	}
}

func (r *results) add(e event) {
	if e.Package == "" {
		e.Package = e.ImportPath // of a package that cannot be built
	}
	t := r.get(e.Package, e.Test)
	switch e.Action {
	case "output", "build-output":
		t.output += e.Output
	case "attr":
		switch e.Key {
		case "because":
			t.because = e.Value
		case "left-out":
			t.leftOut = append(t.leftOut, e.Value)
		}
	case "pass", "fail", "skip", "build-fail":
		t.action = strings.TrimPrefix(e.Action, "build-")
	}
}

func (r *results) get(pkg, name string) *result {
	key := [2]string{pkg, name}
	if t, ok := r.byName[key]; ok {
		return t
	}
	t := &result{pkg: pkg, name: name}
	r.byName[key] = t
	r.order = append(r.order, t)
	return t
}

// count counts the subtests of each test and the tests of each package. A prefix of a name that
// ends at a slash is not always the name of a test.
func (r *results) count() {
	for _, t := range r.order {
		if t.name == "" {
			continue
		}
		for parent := t.name; parent != ""; {
			parent = parent[:max(strings.LastIndexByte(parent, '/'), 0)]
			p, ok := r.byName[[2]string{t.pkg, parent}]
			if !ok {
				continue
			}
			p.subtests++
			if t.isFailed() {
				p.failedSubtests++
			}
		}
	}
}

// isFailed reports whether a test did not pass: it failed, was skipped, or began and never ended. A
// case that was skipped must not count as passed.
func (t *result) isFailed() bool { return t.action != "pass" }

// passed returns how many tests without subtests passed.
func (r *results) passed() int {
	n := 0
	for _, t := range r.order {
		if t.name != "" && t.subtests == 0 && !t.isFailed() {
			n++
		}
	}
	return n
}

// failures returns the tests and packages that failed, except for those that failed because of a
// subtest.
func (r *results) failures() []*result {
	var list []*result
	for _, t := range r.order {
		if t.isFailed() && t.failedSubtests == 0 {
			list = append(list, t)
		}
	}
	return list
}

func (r *results) failed() int { return len(r.failures()) }

// id returns the last part of a test's name. In a table, this is the ID of the case.
func (t *result) id() string { return t.name[strings.LastIndexByte(t.name, '/')+1:] }

// print prints the report.
func (r *results) print(out io.Writer) {
	for _, t := range r.failures() {
		fmt.Fprintf(out, "FAILED %s %s\n%s\n", t.pkg, t.name, t.output)
	}
	r.printDifferences(out)
	var leftOut []string
	for _, t := range r.order {
		leftOut = append(leftOut, t.leftOut...)
	}
	if len(leftOut) > 0 {
		fmt.Fprintf(out, "Left out, until the features that they need exist: %s\n\n", strings.Join(leftOut, ", "))
	}
	fmt.Fprintf(out, "%d passed, %d failed\n", r.passed(), r.failed())
}

// printDifferences prints the cases that differ from upstream, grouped by reason.
func (r *results) printDifferences(out io.Writer) {
	var reasons []string
	cases := map[string][]string{}
	for _, t := range r.order {
		if t.because == "" {
			continue
		}
		if !slices.Contains(reasons, t.because) {
			reasons = append(reasons, t.because)
		}
		cases[t.because] = append(cases[t.because], t.id())
	}
	if len(reasons) > 0 {
		fmt.Fprintf(out, "Deliberate differences from oslo.messaging:\n\n")
	}
	for _, reason := range reasons {
		fmt.Fprintf(out, "  %s\n      %s\n", strings.Join(cases[reason], ", "), reason)
	}
	if len(reasons) > 0 {
		fmt.Fprintln(out)
	}
}
