//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package local

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func benchScanner(b *testing.B) *scanner {
	b.Helper()
	dir := filepath.Join(b.TempDir(), "registry")
	for n := range 1000 {
		p := newPublication(dir)
		err := p.set([]rpc.Instance{{ID: fmt.Sprint(n), BootID: fmt.Sprint(n), Exchange: "openstack", Topic: "compute", State: rpc.StateActive}})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = p.close() })
	}
	s := newScanner(dir)
	if err := s.scan(); err != nil || len(s.instances(nil)) != 1000 {
		b.Fatalf("scan: %v, %d instances", err, len(s.instances(nil)))
	}
	return &s
}

// BenchmarkScan measures each poll with 1,000 processes.
func BenchmarkScan(b *testing.B) {
	s := benchScanner(b)
	for b.Loop() {
		if err := s.scan(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFirstScan measures the first scan of a command, which has no cache yet.
func BenchmarkFirstScan(b *testing.B) {
	dir := benchScanner(b).dir
	for b.Loop() {
		s := newScanner(dir)
		if err := s.scan(); err != nil {
			b.Fatal(err)
		}
	}
}
