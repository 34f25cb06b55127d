package interop

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/oslorpc/oslorpc/internal/interop/wire"
)

// Cell is one case with a client and a server.
type Cell struct {
	Case           Case
	Client, Server *Language
}

// String returns a name such as "call, py to go".
func (c Cell) String() string {
	return fmt.Sprintf("%s, %s to %s", c.Case.Name, c.Client.Short, c.Server.Short)
}

// Cells returns the cells of all cases, with each client and each server.
func Cells(languages []*Language) (cells []Cell) {
	for _, one := range Cases() {
		for _, s := range languages {
			for _, c := range languages {
				if c.IsClient() && s.IsServer() {
					cells = append(cells, Cell{one, c, s})
				}
			}
		}
	}
	return cells
}

// Result is the result of a cell.
type Result struct {
	Cell Cell
	// Err is nil if the cell passed.
	Err error
	// Gap explains why the cell cannot exist. It is empty if the cell can exist.
	Gap string
}

// pairsAtOnce is how many pairs of a client and a server are busy at a time.
const pairsAtOnce = 3

// run is one run of cells.
type run struct {
	url   string
	notes atomic.Int64

	clients map[*Language]*client
	// gateways are the gateways to which servers attach and which clients use.
	gateways map[*Language]*server
	servers  map[*Language]servers
	long     map[*Language]servers
}

func (r *run) nextNote() string { return strconv.FormatInt(r.notes.Add(1), 10) }

// Run runs cells with programs that find each other by a URL, and returns the results in the same
// order. Run returns an error if a program did not start or did not end properly.
func Run(ctx context.Context, url string, cells []Cell) ([]Result, error) {
	r := &run{url: url, clients: map[*Language]*client{}, gateways: map[*Language]*server{}, servers: map[*Language]servers{}, long: map[*Language]servers{}}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // it kills what still runs
	if err := r.start(ctx, cells); err != nil {
		return nil, err
	}
	results := make([]Result, len(cells))
	own := make([]*cell, len(cells))
	pairs := map[[2]*Language][]func(){}
	var all sync.WaitGroup
	for i, of := range cells {
		results[i] = Result{Cell: of, Gap: of.gap()}
		if results[i].Gap != "" {
			continue
		}
		c := &cell{run: r, of: of, client: r.clients[of.Client], servers: r.servers[of.Server], long: r.long[of.Server]}
		own[i] = c
		check := func() { results[i].Err = of.Case.check(ctx, c) }
		if of.Case.long {
			all.Go(check)
			continue
		}
		pair := [2]*Language{of.Client, of.Server}
		pairs[pair] = append(pairs[pair], check)
	}
	places := make(chan struct{}, pairsAtOnce)
	for _, checks := range pairs {
		all.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			for _, check := range checks {
				check()
			}
		})
	}
	all.Wait()
	err := r.stop()
	for i, c := range own {
		if c != nil && results[i].Err == nil {
			results[i].Err = c.onceMore()
		}
	}
	return results, err
}

// start starts the programs that the cells share.
func (r *run) start(ctx context.Context, cells []Cell) error {
	for _, c := range cells {
		for _, l := range []*Language{c.Client, c.Server} {
			if err := r.startGateway(ctx, l); err != nil {
				return err
			}
		}
		if r.clients[c.Client] == nil {
			p, err := startClient(ctx, c.Client, r.urlOf(c.Client))
			if err != nil {
				return err
			}
			r.clients[c.Client] = p
		}
		if r.servers[c.Server] == nil {
			all, err := startServers(ctx, c.Server, r.urlOf(c.Server), "all-"+c.Server.Short, serverA, serverB)
			if err != nil {
				return err
			}
			r.servers[c.Server] = all
		}
		if c.Case.long && r.long[c.Server] == nil {
			all, err := startServers(ctx, c.Server, r.urlOf(c.Server), "long-"+c.Server.Short, serverA, serverB)
			if err != nil {
				return err
			}
			r.long[c.Server] = all
		}
	}
	return nil
}

// startGateway starts the gateway of a language, if the language has one.
func (r *run) startGateway(ctx context.Context, l *Language) error {
	if l.gateway == nil || r.gateways[l] != nil {
		return nil
	}
	g, err := startGateway(ctx, l, r.url)
	if err == nil {
		r.gateways[l] = g
	}
	return err
}

// urlOf returns the URL for the programs of a language.
func (r *run) urlOf(l *Language) string {
	if g := r.gateways[l]; g != nil {
		return "gateway://" + g.addr
	}
	return r.url
}

// stop stops all programs. Servers must stop gracefully. Clients end when their input ends.
func (r *run) stop() (err error) {
	var all servers
	for _, s := range r.servers {
		all = append(all, s...)
	}
	for _, s := range r.long {
		all = append(all, s...)
	}
	keep := func(e error) {
		if err == nil {
			err = e
		}
	}
	end := func(all []*server) {
		for _, s := range all {
			s.terminate()
		}
		for _, s := range all {
			keep(s.ended())
			keep(s.await(wire.Event{Event: wire.Stopped}, patience))
		}
	}
	end(all)
	for _, c := range r.clients {
		_ = c.in.Close() // it is closed already if the program has ended
		keep(c.ended())
	}
	end(slices.Collect(maps.Values(r.gateways)))
	return err
}
