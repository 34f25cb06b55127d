package neutronrpc

import (
	"context"
	"maps"
	"sync"
	"time"
)

// RemoteResourceCache has an agent's copies of objects. A bulk pull fills it, and pushes keep it up
// to date. Pushes may come in any order, and overtake the answer to a pull. So revision numbers
// decide which object is newer, and the cache remembers deleted objects.
type RemoteResourceCache struct {
	mu      sync.Mutex
	objects map[string]VersionedObject
	deleted map[string]time.Time // when
}

// remembered is how long a cache remembers deleted objects. No message takes that long.
const remembered = 24 * time.Hour

// NewRemoteResourceCache returns an empty cache.
func NewRemoteResourceCache() *RemoteResourceCache {
	return &RemoteResourceCache{objects: map[string]VersionedObject{}, deleted: map[string]time.Time{}}
}

// Push handles a message of the server, as a [ResourcesPushRPC].
func (c *RemoteResourceCache) Push(_ context.Context, args PushArgs) error {
	for _, o := range args.ResourceList {
		if args.EventType == ObjectDeleted {
			c.Delete(o.ID())
		} else {
			c.Update(o)
		}
	}
	return nil
}

// Update stores an object, unless the cache has a newer one, or knows that it was deleted.
func (c *RemoteResourceCache) Update(o VersionedObject) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, deleted := c.deleted[o.ID()]; deleted {
		return
	}
	if known, ok := c.objects[o.ID()]; ok && revision(known) > revision(o) {
		return
	}
	c.objects[o.ID()] = o
}

// Delete forgets an object for good: ids are never used again.
func (c *RemoteResourceCache) Delete(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.objects, id)
	maps.DeleteFunc(c.deleted, func(_ string, when time.Time) bool { return time.Since(when) > remembered })
	c.deleted[id] = time.Now()
}

// Get returns an object. It returns false if there is none.
func (c *RemoteResourceCache) Get(id string) (VersionedObject, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o, ok := c.objects[id]
	return o, ok
}

// Resync stores the answer to a pull of everything, and forgets older objects that are missing in
// the answer. Objects that are pushed while pull runs stay.
func (c *RemoteResourceCache) Resync(pull func() ([]VersionedObject, error)) error {
	before := c.ids()
	objects, err := pull()
	if err != nil {
		return err
	}
	for _, o := range objects {
		delete(before, o.ID())
		c.Update(o)
	}
	for id := range before {
		c.Delete(id)
	}
	return nil
}

func (c *RemoteResourceCache) ids() map[string]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	ids := map[string]bool{}
	for id := range c.objects {
		ids[id] = true
	}
	return ids
}

// revision returns the revision number of an object. JSON integers are decoded as int64 here.
func revision(o VersionedObject) int64 {
	n, _ := o.Data["revision_number"].(int64)
	return n
}
