// Package registry is an example of a custom registry: the processes of a fleet find each other in
// a directory of a file system that all hosts share. It uses only the public API. See
// docs/write-a-registry.md.
//
//	import _ "github.com/oslorpc/oslorpc/examples/registry"
//
// registers shared:///absolute/directory.
package registry

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/oslorpc/oslorpc/pkg/registry"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

const (
	// poll is the interval at which a watch reads the directory, and beat the interval at which a
	// process shows that it is alive. Its file is valid for lifetime after that.
	poll     = 100 * time.Millisecond
	beat     = time.Second
	lifetime = 10 * time.Second
)

func init() { registry.Register("shared", open) } //nolint:gochecknoinits // importing the package is what makes the scheme known

// handle is one process's access to the registry.
type handle struct {
	path string // of the file of this process
	log  *slog.Logger
	ctx  context.Context //nolint:containedctx // It ends what runs in the background.
	end  context.CancelFunc
	done sync.WaitGroup

	mu      sync.Mutex
	text    []byte // of the file; nil if nothing is published
	watches map[*registry.Watch]context.CancelFunc
	closed  bool
}

func open(text string, c registry.Config) (registry.Registry, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host != "" || u.User != nil || u.RawQuery != "" || !filepath.IsAbs(u.Path) {
		return nil, fmt.Errorf("the URL %q is not valid: write shared:///absolute/directory", text)
	}
	if err := os.MkdirAll(u.Path, 0o700); err != nil {
		return nil, err
	}
	h := &handle{path: filepath.Join(u.Path, rand.Text()+".json"), log: c.Log, watches: map[*registry.Watch]context.CancelFunc{}}
	h.ctx, h.end = context.WithCancel(context.Background())
	h.done.Go(h.keepAlive)
	return h, nil
}

// String returns the name of the registry in errors.
func (h *handle) String() string { return "the directory " + filepath.Dir(h.path) }

// Publish implements [registry.Registry]. It stores each instance completely, with all its fields.
func (h *handle) Publish(ctx context.Context, instances []rpc.Instance) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return errors.New("the registry is closed")
	}
	if len(instances) == 0 {
		h.text = nil
		return removeIfThere(h.path)
	}
	text, err := json.Marshal(instances)
	if err != nil {
		return err
	}
	h.text = text
	return write(h.path, text)
}

// write replaces a file atomically: readers see either the old content or the new one.
func write(path string, text []byte) error {
	temporary := path + ".tmp"
	if err := os.WriteFile(temporary, text, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// keepAlive shows that the process is alive until it closes the registry, and restores lost files.
func (h *handle) keepAlive() {
	each(h.ctx, beat, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.text == nil {
			return
		}
		if err := write(h.path, h.text); err != nil {
			h.log.Warn("the directory of the registry cannot be written; trying again", "path", h.path, "error", err)
		}
	})
}

// each calls a function regularly, until ctx ends.
func each(ctx context.Context, interval time.Duration, do func()) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			do()
		}
	}
}

// Watch implements [registry.Registry]. A [registry.Watch] does most of the work: it gets the list
// at each poll, and passes on changes.
func (h *handle) Watch(topic registry.Topic, notify func(registry.Update)) (stop func()) {
	w := registry.StartWatch(notify)
	ctx, cancel := context.WithCancel(h.ctx)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		cancel()
		w.Stop()
		return func() {}
	}
	h.watches[w] = cancel
	h.done.Go(func() {
		look := func() { w.Send(h.look(topic)) }
		look()
		each(ctx, poll, look)
	})
	return func() {
		cancel()
		w.Stop()
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.watches, w)
	}
}

func (h *handle) look(topic registry.Topic) registry.Update {
	all, err := h.read()
	if err != nil {
		return registry.Update{Err: &rpc.Error{Kind: rpc.Unreachable, NotStarted: true, Cause: err, Message: err.Error()}}
	}
	var u registry.Update
	for _, i := range all {
		if i.Exchange == topic.Exchange && i.Topic == topic.Name {
			u.Instances = append(u.Instances, i)
		}
	}
	return u
}

// List implements [registry.Registry].
func (h *handle) List(ctx context.Context) ([]rpc.Instance, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return h.read()
}

// read returns the instances of all live processes. It skips a file that it cannot read, so that
// one broken process does not hide the others.
func (h *handle) read() ([]rpc.Instance, error) {
	dir := filepath.Dir(h.path)
	if _, err := os.Stat(dir); err != nil {
		return nil, err // a directory that is away says nothing about the processes
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	var all []rpc.Instance
	for _, path := range paths {
		instances, err := readFile(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			h.log.Warn("skipping a file of the registry", "path", path, "error", err)
		}
		all = append(all, instances...)
	}
	return all, nil
}

func readFile(path string) (instances []rpc.Instance, err error) {
	info, err := os.Stat(path)
	if err != nil || time.Since(info.ModTime()) > lifetime {
		return nil, err
	}
	text, err := os.ReadFile(path) //nolint:gosec // It is in the directory of the registry.
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &instances); err != nil {
		return nil, fmt.Errorf("it is no list of instances: %w", err)
	}
	return instances, nil
}

// Close implements [registry.Registry].
func (h *handle) Close(context.Context) error {
	h.mu.Lock()
	h.closed, h.text = true, nil
	watches := h.watches
	h.watches = nil
	h.mu.Unlock()
	h.end()
	h.done.Wait()
	for w := range watches {
		w.Stop()
	}
	return removeIfThere(h.path)
}
