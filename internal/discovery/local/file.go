//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package local

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// format is the version of the file format. Programs skip files of other versions. A new field does
// not need a new version.
const format = 1

// File names consist of prefix, boot id, random text and suffix. Names of temporary files have more
// random text and tempSuffix after that.
const (
	prefix     = "oslorpc-"
	suffix     = ".json"
	tempSuffix = ".tmp"
)

// uniqueLength is the length of the random text from [rand.Text], which has capital letters and
// digits.
const uniqueLength = 26

// isProcessFile reports whether a file has the name of a process's file. The registry does not read
// or remove any other files, except temporary ones and sockets.
func isProcessFile(name string) bool {
	rest, found := strings.CutSuffix(name, suffix)
	if !found || !strings.HasPrefix(name, prefix) || len(rest) < len(prefix)+1+uniqueLength {
		return false
	}
	rest, unique := rest[:len(rest)-uniqueLength], rest[len(rest)-uniqueLength:]
	return strings.HasSuffix(rest, "-") && strings.Trim(unique, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

// isTempFile reports whether a file has the name of a temporary file that has not become a
// process's file yet.
func isTempFile(name string) bool {
	rest, found := strings.CutSuffix(name, tempSuffix)
	dot := strings.LastIndexByte(rest, '.')
	return found && dot >= 0 && strings.Trim(rest[dot+1:], "0123456789") == "" && isProcessFile(rest[:dot])
}

type document struct {
	Format    int      `json:"format"`
	Instances []record `json:"instances"`
}

type record struct {
	ID          string    `json:"id"`
	BootID      string    `json:"boot_id"`
	Exchange    string    `json:"exchange"`
	Topic       string    `json:"topic"`
	Server      string    `json:"server"`
	Addr        string    `json:"addr"`
	State       rpc.State `json:"state"`
	Implemented []string  `json:"implemented,omitempty"`
	Sessions    bool      `json:"sessions,omitempty"`
	Zone        string    `json:"zone,omitempty"`
}

// fileName returns the name of a process's file. It contains the boot id for operators; unique
// makes it unique.
func fileName(bootID, unique string) string {
	readable := strings.Map(func(c rune) rune {
		if (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' {
			return c
		}
		return '_'
	}, bootID)
	return prefix + readable[:min(len(readable), 64)] + "-" + unique + suffix
}

func encode(instances []rpc.Instance) ([]byte, error) {
	d := document{Format: format}
	for _, i := range instances {
		r := record{
			ID: i.ID, BootID: i.BootID, Exchange: i.Exchange, Topic: i.Topic, Server: i.Server, Addr: i.Addr, State: i.State,
			Sessions: i.Sessions, Zone: i.Zone,
		}
		for _, implementation := range i.Implemented {
			r.Implemented = append(r.Implemented, discovery.FormatImplementation(implementation))
		}
		d.Instances = append(d.Instances, r)
	}
	return json.Marshal(d)
}

func decode(text []byte) ([]rpc.Instance, error) {
	var d document
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, err
	}
	if d.Format != format {
		return nil, fmt.Errorf("it is of format %d, and this program knows only %d", d.Format, format)
	}
	var instances []rpc.Instance
	for _, r := range d.Instances {
		i := rpc.Instance{
			ID: r.ID, BootID: r.BootID, Exchange: r.Exchange, Topic: r.Topic, Server: r.Server, Addr: r.Addr, State: r.State,
			Sessions: r.Sessions, Zone: r.Zone,
		}
		for _, text := range r.Implemented {
			implementation, err := discovery.ParseImplementation(text)
			if err != nil {
				return nil, fmt.Errorf("instance %q: %w", r.ID, err)
			}
			i.Implemented = append(i.Implemented, implementation)
		}
		instances = append(instances, i)
	}
	return instances, nil
}
