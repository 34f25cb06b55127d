// Command licenses lists the licenses of modules. It reads a line for each from standard input: its
// path, its version and its directory. It fails if a module has no license that it knows, or one
// that may not be linked into a program under the Apache License.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// allowed are the licenses that a module may have: words of each, by its SPDX name. The first whose
// words a text has is the one.
var allowed = []struct{ name, words string }{
	{"Apache-2.0", "Apache License Version 2.0"},
	{"MPL-2.0", "Mozilla Public License, version 2.0"},
	{"MPL-2.0", "Mozilla Public License Version 2.0"},
	{"MIT", "Permission is hereby granted, free of charge, to any person obtaining a copy of this software"},
	{"ISC", "Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee"},
	{"BSD-3-Clause", "may be used to endorse or promote products derived from this software"},
	{"BSD-2-Clause", "Redistribution and use in source and binary forms"},
}

const unknown = "unknown"

func main() {
	if err := list(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "licenses:", err)
		os.Exit(1)
	}
}

// list writes the licenses of the modules.
func list(in io.Reader, out io.Writer) error {
	var refused []string
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		module, version, dir := words(lines.Text())
		names, err := licenses(dir)
		if err != nil {
			return fmt.Errorf("%s: %w", module, err)
		}
		if len(names) == 0 || slices.Contains(names, unknown) {
			refused = append(refused, module)
		}
		fmt.Fprintf(out, "%-44s %-40s %s\n", module, version, strings.Join(names, ", "))
	}
	if len(refused) > 0 {
		return fmt.Errorf("no license is known, or it is not allowed: %s", strings.Join(refused, ", "))
	}
	return lines.Err()
}

func words(line string) (module, version, dir string) {
	module, rest, _ := strings.Cut(line, " ")
	version, dir, _ = strings.Cut(rest, " ")
	return module, version, dir
}

// licenses returns the names of the licenses in a directory.
func licenses(dir string) ([]string, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, file := range files {
		name := strings.ToUpper(file.Name())
		if !strings.HasPrefix(name, "LICENSE") && !strings.HasPrefix(name, "LICENCE") && !strings.HasPrefix(name, "COPYING") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, file.Name()))
		if err != nil {
			return nil, err
		}
		names = append(names, identify(string(text)))
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// identify returns the name of the license with a text.
func identify(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	for _, license := range allowed {
		if strings.Contains(text, license.words) {
			return license.name
		}
	}
	return unknown
}
