//go:build linux

package world

import (
	"fmt"
	"os"
	"os/exec"

	"github.com/oslorpc/oslorpc/internal/lab/history"
)

// Net is the network namespace of one host. A bridge connects it to the others.
type Net struct {
	// Addr is the host's address.
	Addr string

	w       *World
	name    string
	device  string
	network *Network
}

// Network is a bridge with hosts.
type Network struct {
	w     *World
	name  string
	hosts []*Net
}

// Network makes a network, or skips the scenario where that is not possible.
func (w *World) Network() *Network {
	if os.Geteuid() != 0 {
		w.Skipf("network namespaces need root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		w.Skipf("network namespaces need iproute2: %v", err)
	}
	n := &Network{w: w, name: fmt.Sprintf("oslorpclab%d", os.Getpid())}
	if err := ip("netns", "add", n.name); err != nil {
		w.Skipf("%v", err)
	}
	w.cleanup(func() { w.Must(ip("netns", "del", n.name)) })
	if err := ip("-n", n.name, "link", "add", "hub", "type", "bridge"); err != nil {
		w.Skipf("%v", err)
	}
	w.Must(ip("-n", n.name, "link", "set", "hub", "up"))
	return n
}

// Host adds a host.
func (n *Network) Host() *Net {
	w, i := n.w, len(n.hosts)+1
	h := &Net{
		w: w, network: n, name: fmt.Sprintf("%s-%d", n.name, i), device: fmt.Sprintf("host%d", i), Addr: fmt.Sprintf("10.99.0.%d", i),
	}
	n.hosts = append(n.hosts, h)
	w.Must(ip("netns", "add", h.name))
	w.cleanup(func() { w.Must(ip("netns", "del", h.name)) })
	for _, args := range [][]string{
		{"-n", h.name, "link", "set", "lo", "up"},
		{"-n", h.name, "link", "add", h.device, "type", "veth", "peer", "name", h.device, "netns", n.name},
		{"-n", n.name, "link", "set", h.device, "master", "hub"},
		{"-n", n.name, "link", "set", h.device, "up"},
		{"-n", h.name, "addr", "add", h.Addr + "/24", "dev", h.device},
		{"-n", h.name, "link", "set", h.device, "up"},
	} {
		w.Must(ip(args...))
	}
	return h
}

// Lose silently drops all packets from this host to another one. Packets in the other direction
// arrive. The history records the fault for the named process.
func (h *Net) Lose(to *Net, process string) {
	h.w.Injectf("one-way packet loss")
	h.w.Eventf(history.Cut, h.w.process(process).Name, "%s to %s", h.name, to.name)
	// The other host drops packets for a foreign Ethernet address.
	h.w.Must(ip("-n", h.name, "neigh", "replace", to.Addr, "lladdr", "02:00:00:00:00:01", "dev", h.device, "nud", "permanent"))
}

// Heal ends Lose.
func (h *Net) Heal(to *Net, process string) {
	h.w.Must(ip("-n", h.name, "neigh", "del", to.Addr, "dev", h.device))
	h.w.Eventf(history.Mended, h.w.process(process).Name, "%s to %s", h.name, to.name)
}

// command returns the command line to run a program on the host.
func (h *Net) command(program string) []string {
	if h == nil {
		return []string{program}
	}
	return []string{"ip", "netns", "exec", h.name, program}
}

// ip runs the ip command.
func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput() //nolint:gosec,noctx // Ours, and it ends soon.
	if err != nil {
		return fmt.Errorf("ip %v: %w: %s", args, err, out)
	}
	return nil
}
