package payload

import (
	"fmt"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// These benchmarks use the arguments of a typical nested call: eight arguments, one of which is a
// list of ten objects.

type benchVolume struct {
	ID       string  `json:"id"`
	Path     string  `json:"path"`
	SizeGB   int     `json:"size_gb"`
	Index    int     `json:"index"`
	Bootable bool    `json:"bootable"`
	Snapshot *string `json:"snapshot"`
}

type benchArgs struct {
	InstanceID string        `json:"instance_id"`
	ImageID    string        `json:"image_id"`
	Host       string        `json:"host"`
	MemoryMB   int           `json:"memory_mb"`
	PowerOn    bool          `json:"power_on"`
	Ratio      float64       `json:"ratio"`
	AdminPass  *string       `json:"admin_pass"`
	Volumes    []benchVolume `json:"volumes"`
}

// benchOptional is benchArgs with an optional argument, so that the struct's plan encodes it
// instead of the JSON library.
type benchOptional struct {
	benchArgs
	Reason Opt[string] `json:"reason"`
}

func newBenchArgs() benchArgs {
	a := benchArgs{
		InstanceID: "0d6a1d8f-3b4e-4c55-9d0b-6a51f4b1c0aa",
		ImageID:    "b3c9a2f0-9f2b-4f7e-8a5b-0f1e2d3c4b5a",
		Host:       "compute-17.region-one.example.org",
		MemoryMB:   8192,
		PowerOn:    true,
		Ratio:      1.5,
	}
	for i := range 10 {
		a.Volumes = append(a.Volumes, benchVolume{
			ID:       fmt.Sprintf("7f1e9a52-6d3c-4e8b-b1a0-2c3d4e5f60%02d", i),
			Path:     fmt.Sprintf("/dev/disk/by-id/virtio-%02d", i),
			SizeGB:   20 * (i + 1),
			Index:    i,
			Bootable: i == 0,
		})
	}
	return a
}

func benchText(tb testing.TB) string {
	tb.Helper()
	text, err := MarshalArgs(newBenchArgs())
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

func BenchmarkMarshalArgs(b *testing.B) {
	text := benchText(b)
	args := newBenchArgs()
	var untyped map[string]any
	if err := UnmarshalArgs(text, &untyped); err != nil {
		b.Fatal(err)
	}
	for _, bench := range []struct {
		name string
		args any
	}{
		{"plain struct", &args},
		{"struct with optional arguments", &benchOptional{benchArgs: args, Reason: Some("rebuild")}},
		{"map", untyped},
		{"raw", Raw(text)},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if _, err := MarshalArgs(bench.args); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkUnmarshalArgs(b *testing.B) {
	text := benchText(b)
	for _, bench := range []struct {
		name string
		dst  func() any
	}{
		{"struct", func() any { return new(benchArgs) }},
		{"struct with optional arguments", func() any { return new(benchOptional) }},
		{"map", func() any { return new(map[string]any) }},
		{"raw", func() any { return new(Raw) }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if err := UnmarshalArgs(text, bench.dst()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkFromValue(b *testing.B) {
	v, err := ToValue(benchText(b), rpc.BadArguments)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := FromValue(v, rpc.BadArguments); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkToValue(b *testing.B) {
	text := benchText(b)
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := ToValue(text, rpc.BadArguments); err != nil {
			b.Fatal(err)
		}
	}
}
