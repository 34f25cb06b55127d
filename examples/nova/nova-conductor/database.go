package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"

	"github.com/oslorpc/oslorpc/examples/nova/rpcapi"
)

// database has the instances of a cell, by their UUIDs. If it has a file, each change is written to
// it.
type database struct {
	path string

	mu        sync.Mutex
	instances map[string]rpcapi.Instance
}

func openDatabase(path string) (*database, error) {
	db := &database{path: path, instances: map[string]rpcapi.Instance{}}
	if path == "" {
		return db, nil
	}
	text, err := os.ReadFile(path) //nolint:gosec // that is what the operator said
	switch {
	case errors.Is(err, os.ErrNotExist):
		return db, nil
	case err != nil:
		return nil, err
	}
	if err := json.Unmarshal(text, &db.instances); err != nil {
		return nil, fmt.Errorf("%s is not a database: %w", path, err)
	}
	return db, nil
}

// list returns the instances for which match returns true, in the order of their names.
func (db *database) list(match func(rpcapi.Instance) bool) []rpcapi.Instance {
	db.mu.Lock()
	defer db.mu.Unlock()
	found := []rpcapi.Instance{}
	for _, i := range db.instances {
		if match(i) {
			found = append(found, i)
		}
	}
	slices.SortFunc(found, func(a, b rpcapi.Instance) int {
		return cmp.Or(cmp.Compare(a.DisplayName, b.DisplayName), cmp.Compare(a.UUID, b.UUID))
	})
	return found
}

func (db *database) get(uuid string) (rpcapi.Instance, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if i, ok := db.instances[uuid]; ok {
		return i, nil
	}
	return rpcapi.Instance{}, &rpcapi.InstanceNotFound{InstanceID: uuid}
}

// create adds an instance. Repeating it does no harm.
func (db *database) create(i rpcapi.Instance) error {
	return db.change(func(all map[string]rpcapi.Instance) error {
		all[i.UUID] = i
		return nil
	})
}

// save changes an instance, if it is in the expected task, and returns its new state. When a task
// begins, other fields stay the same: the caller may have read the instance before another process
// changed it.
func (db *database) save(i rpcapi.Instance, kwargs map[string]string) (rpcapi.Instance, error) {
	err := db.change(func(all map[string]rpcapi.Instance) error {
		before, ok := all[i.UUID]
		if !ok {
			return &rpcapi.InstanceNotFound{InstanceID: i.UUID}
		}
		if task, given := kwargs[rpcapi.ExpectedTaskState]; given && task != before.TaskState {
			return &rpcapi.UnexpectedTaskState{InstanceID: i.UUID, Expected: task, Actual: before.TaskState}
		} else if given && i.TaskState != "" {
			before.TaskState = i.TaskState
			i = before
		}
		all[i.UUID] = i
		return nil
	})
	return i, err
}

func (db *database) destroy(i rpcapi.Instance) error {
	return db.change(func(all map[string]rpcapi.Instance) error {
		delete(all, i.UUID)
		return nil
	})
}

// change makes a change, which takes effect when it is written.
func (db *database) change(edit func(map[string]rpcapi.Instance) error) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	changed := maps.Clone(db.instances)
	if err := edit(changed); err != nil {
		return err
	}
	if err := db.write(changed); err != nil {
		return err
	}
	db.instances = changed
	return nil
}

// write replaces the file atomically.
func (db *database) write(all map[string]rpcapi.Instance) error {
	if db.path == "" {
		return nil
	}
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	next := db.path + ".next"
	if err := os.WriteFile(next, append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(next, db.path)
}
