package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestList(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Apache License\n   Version 2.0, January 2004":                                                   "Apache-2.0",
		"Permission is hereby granted, free of charge,\nto any person obtaining a copy of this software": "MIT",
		"All rights reserved.":              "",
		"GNU AFFERO GENERAL PUBLIC LICENSE": "",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "LICENSE"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		err := list(strings.NewReader("example.com/m v1.0.0 "+dir+"\n"), &out)
		if (err == nil) != (want != "") || !strings.Contains(out.String(), want) {
			t.Errorf("%q gives %q, %v; want %q", text, out.String(), err, want)
		}
	}
	var out strings.Builder
	if err := list(strings.NewReader("example.com/m v1.0.0 "+t.TempDir()+"\n"), &out); err == nil {
		t.Error("a module without a license is taken")
	}
}
