//go:build linux

// Package role implements the processes of the laboratory. The environment decides whether a
// process is a server, a client or a gateway, and the process writes the history. Servers and
// clients use only the public API of oslorpc.
package role

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/oslorpc/oslorpc/internal/lab/history"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	_ "github.com/oslorpc/oslorpc/pkg/registry/consul" // for consul:// URLs
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// Variable is the environment variable that gives a process its role: a [Config] as JSON.
const Variable = "OSLORPC_LAB_ROLE"

// Ready is the first line that a process prints, when it is ready.
const Ready = "ready"

// Config is the configuration of a process. One of Server, Client and Gateway is set.
type Config struct {
	// Process is the name of the process, and History the directory for its history.
	Process string `json:"process"`
	History string `json:"history"`
	URL     string `json:"url"`
	// TLS is the directory of the certificates, empty for plaintext.
	TLS string `json:"tls,omitempty"`
	// Descriptors bounds how many files the process may have open, if it is not 0.
	Descriptors uint64   `json:"descriptors,omitempty"`
	Server      *Server  `json:"server,omitempty"`
	Client      *Client  `json:"client,omitempty"`
	Gateway     *Gateway `json:"gateway,omitempty"`
}

// Main runs a process that was started with a role, and does not return. Without a role it returns.
// Call it first in main or TestMain.
func Main() {
	text, is := os.LookupEnv(Variable)
	if !is {
		return
	}
	var c Config
	err := json.Unmarshal([]byte(text), &c)
	if err == nil {
		err = c.run()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "lab: %s: %v\n", c.Process, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// run runs the role until the process is told to stop, and writes what it leaked.
func (c *Config) run() error {
	if c.Descriptors > 0 {
		if err := limitDescriptors(c.Descriptors); err != nil {
			return err
		}
	}
	out, err := history.Create(c.History, c.Process)
	if err != nil {
		return err
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	before := takeStock()
	end := history.Exit{Process: c.Process}
	switch {
	case c.Server != nil:
		err = c.serve(ctx, out)
	case c.Gateway != nil:
		err = c.forward(ctx)
	default:
		err = c.load(ctx, out)
	}
	if err != nil {
		end.Error = err.Error()
	}
	before.compare(&end)
	end.At = time.Now()
	out.Write(history.Record{Exit: &end})
	return out.Close()
}

// open opens the transport.
func (c *Config) open(options ...oslorpc.TransportOption) (*oslorpc.Transport, error) {
	trusted := trust.Config{Plaintext: true} // faults come through addresses of other networks
	if c.TLS != "" {
		trusted = trust.Config{CA: c.TLS + "/ca.pem", Cert: c.TLS + "/cert.pem", Key: c.TLS + "/key.pem", ServerName: "localhost"}
	}
	return oslorpc.Open(c.URL, append(options, oslorpc.WithTrust(trusted), oslorpc.WithCallerName(c.Process))...)
}
