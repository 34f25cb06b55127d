package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
)

// buildDocument describes the build of this program, for programs.
type buildDocument struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func build() buildDocument {
	b := buildDocument{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

// String returns the build on one line.
func (b buildDocument) String() string {
	revision := ""
	if b.Revision != "" {
		revision = ", revision " + b.Revision
	}
	if b.Modified {
		revision += " with changes"
	}
	return fmt.Sprintf("%s%s, %s, %s", b.Version, revision, b.Go, b.Platform)
}

func versionCommand(p *cli.Program) *cobra.Command {
	return cli.Offline(&cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Example: `  oslorpc version
  oslorpc version --output json`,
		DisableFlagsInUseLine: true,
		Args:                  p.Takes(0, 0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			if p.JSON() {
				return cli.WriteJSON(p.Out, build())
			}
			_, err := fmt.Fprintln(p.Out, "oslorpc", build())
			return err
		},
	}, "version connects to no other program")
}
