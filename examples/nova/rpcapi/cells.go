package rpcapi

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// OwnCell is the name of the program's own cell. By default, it is the only one.
const OwnCell = "own"

// Cell is a part of a Nova with its own computes, conductors and database, and so with its own
// transport: it continues when other cells fail. In Nova, a router selects the client by the cell
// in the request context. Here each cell has its own clients.
type Cell struct {
	Name      string
	Transport *oslorpc.Transport
	Compute   *ComputeAPI
	Conductor *ConductorAPI
}

// Cells are the cells that a program uses, each with a transport. They are safe for concurrent use.
type Cells struct {
	cells map[string]*Cell
}

// OpenCells opens the transports of a program's own cell, and of others by their names.
func OpenCells(own string, others map[string]string, config Config, options ...oslorpc.TransportOption) (*Cells, error) {
	if _, taken := others[OwnCell]; taken {
		return nil, fmt.Errorf("the name %q means the program's own cell", OwnCell)
	}
	c := NewCells(nil, config)
	err := c.open(OwnCell, own, config, options)
	for name, url := range others {
		if err == nil {
			err = c.open(name, url, config, options)
		}
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Cells) open(name, url string, config Config, options []oslorpc.TransportOption) error {
	t, err := Open(url, options...)
	if err != nil {
		return fmt.Errorf("cell %s: %w", name, err)
	}
	c.add(name, t, config)
	return nil
}

// NewCells returns the cells of open transports. The transports must know the errors of this
// package, see [ErrorTypes].
func NewCells(transports map[string]*oslorpc.Transport, config Config) *Cells {
	c := &Cells{map[string]*Cell{}}
	for name, t := range transports {
		c.add(name, t, config)
	}
	return c
}

func (c *Cells) add(name string, t *oslorpc.Transport, config Config) {
	c.cells[name] = &Cell{name, t, NewComputeAPI(t, config), NewConductorAPI(t, config)}
}

// Own returns the program's own cell.
func (c *Cells) Own() *Cell { return c.cells[OwnCell] }

// Get returns the cell with a name.
func (c *Cells) Get(name string) (*Cell, error) {
	if cell, ok := c.cells[name]; ok {
		return cell, nil
	}
	return nil, fmt.Errorf("there is no cell %q, but %q", name, c.names())
}

// All returns the cells, in the order of their names.
func (c *Cells) All() []*Cell {
	var all []*Cell
	for _, name := range c.names() {
		all = append(all, c.cells[name])
	}
	return all
}

func (c *Cells) names() []string { return slices.Sorted(maps.Keys(c.cells)) }

// Close closes all transports concurrently, since each takes a moment to leave.
func (c *Cells) Close() error {
	failures := make([]error, len(c.cells))
	var closing sync.WaitGroup
	for i, cell := range c.All() {
		closing.Go(func() { failures[i] = cell.Transport.Close() })
	}
	closing.Wait()
	return errors.Join(failures...)
}
