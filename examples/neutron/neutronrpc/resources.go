package neutronrpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// These are the events of an object.
const (
	ObjectCreated = "created"
	ObjectUpdated = "updated"
	ObjectDeleted = "deleted"
)

// VersionedObject is an encoded object at some version of its type: a primitive of
// oslo.versionedobjects.
type VersionedObject struct {
	Type      string         `json:"versioned_object.name"`
	Namespace string         `json:"versioned_object.namespace"`
	Version   string         `json:"versioned_object.version"`
	Data      map[string]any `json:"versioned_object.data"`
}

// ID returns the object's id.
func (o VersionedObject) ID() string { id, _ := o.Data["id"].(string); return id }

// Into reads the object's data into a struct.
func (o VersionedObject) Into(v any) error {
	text, err := json.Marshal(o.Data)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, v)
}

// ObjectType is a type of objects that agents cache.
type ObjectType struct {
	Name string
	// Version is the latest version that this program knows.
	Version string
	// Added has the fields that were added after 1.0, by the version that added them.
	Added map[string][]string
}

// NetworkType is the type of networks.
var NetworkType = ObjectType{Name: "Network", Version: "1.1", Added: map[string][]string{"1.1": {"mtu"}}}

// At returns the type at an older version.
func (t ObjectType) At(version string) (ObjectType, error) {
	if !serves(t.Version, version) {
		return ObjectType{}, fmt.Errorf("%s has no version %q here: it is at %s", t.Name, version, t.Version)
	}
	t.Version = version
	return t, nil
}

// Object returns an object of the type with this data at a version, without fields that were added
// later.
func (t ObjectType) Object(version string, data map[string]any) (VersionedObject, error) {
	if _, err := t.At(version); err != nil {
		return VersionedObject{}, err
	}
	data = maps.Clone(data)
	for since, fields := range t.Added {
		if !serves(version, since) {
			maps.DeleteFunc(data, func(name string, _ any) bool { return slices.Contains(fields, name) })
		}
	}
	return VersionedObject{Type: t.Name, Namespace: "versionedobjects", Version: version, Data: data}, nil
}

// serves reports whether a program that knows one version of a type understands another version.
func serves(known, asked string) bool {
	k, err := rpc.ParseVersion(known)
	a, bad := rpc.ParseVersion(asked)
	return err == nil && bad == nil && k.Serves(a)
}

// resourceTopics is the prefix of the topics of all types.
const resourceTopics = "neutron-vo-"

// ResourceTopic returns the topic for messages to agents about objects of a type at a version.
func ResourceTopic(objectType, version string) string {
	return resourceTopics + objectType + "-" + version
}

// ResourcesPullRPCAPI is the agent's side of the API to request objects.
//
// API version history:
//
//	1.0 - Initial version
//	1.1 - Added bulk_pull
type ResourcesPullRPCAPI struct{ client *oslorpc.Client }

// NewResourcesPullRPCAPI returns the agent's side.
func NewResourcesPullRPCAPI(t *oslorpc.Transport, options ...oslorpc.ClientOption) *ResourcesPullRPCAPI {
	return &ResourcesPullRPCAPI{t.Client(oslorpc.Target{Topic: PluginTopic, Version: "1.1"}, options...)}
}

// Pull returns an object at the version of the type that the agent knows, or nil if the object was
// deleted.
func (a *ResourcesPullRPCAPI) Pull(ctx context.Context, t ObjectType, id string) (*VersionedObject, error) {
	args := PullArgs{ResourceType: t.Name, Version: t.Version, ResourceID: id}
	return oslorpc.Call[*VersionedObject](AdminContext(ctx), a.client, "pull", args)
}

// BulkPull returns the objects of a type whose fields have these values.
func (a *ResourcesPullRPCAPI) BulkPull(ctx context.Context, t ObjectType, filter map[string]any) ([]VersionedObject, error) {
	args := BulkPullArgs{ResourceType: t.Name, Version: t.Version, FilterKwargs: oslorpc.Some(filter)}
	return oslorpc.Call[[]VersionedObject](AdminContext(ctx), a.client, "bulk_pull", args)
}

// The arguments of the methods of [ResourcesPullRPC] and [ResourcesPushRPC].
type (
	// PullArgs are the arguments of pull.
	PullArgs struct {
		ResourceType string `json:"resource_type"`
		// Version is the version of the object. The message's version is in its target.
		Version    string `json:"version"`
		ResourceID string `json:"resource_id"`
	}
	// BulkPullArgs are the arguments of bulk_pull.
	BulkPullArgs struct {
		ResourceType string `json:"resource_type"`
		Version      string `json:"version"`
		// FilterKwargs is absent or empty for all objects.
		FilterKwargs oslorpc.Opt[map[string]any] `json:"filter_kwargs"`
	}
	// PushArgs are the arguments of push.
	PushArgs struct {
		ResourceList []VersionedObject `json:"resource_list"`
		EventType    string            `json:"event_type"`
		oslorpc.Extra
	}
)

// ResourcesPullRPC is the server's side of [ResourcesPullRPCAPI].
type ResourcesPullRPC interface {
	Pull(ctx context.Context, args PullArgs) (*VersionedObject, error)
	BulkPull(ctx context.Context, args BulkPullArgs) ([]VersionedObject, error)
}

// ResourcesPullRPCCallback returns the endpoint of a server.
func ResourcesPullRPCCallback(server ResourcesPullRPC) oslorpc.Endpoint {
	return oslorpc.Endpoint{Version: "1.1", Struct: oslorpc.Methods(struct{ ResourcesPullRPC }{server}).
		Since("1.1", "BulkPull")}
}

// ResourcesPushRPCAPI is the server's side of the API that notifies agents of changes. An agent
// serves the topic of each type of which it keeps copies, at the version that it knows. So
// discovery lists the versions in use: agents need not report them, and a server that was cut off
// when an agent with another version started misses nothing.
type ResourcesPushRPCAPI struct {
	transport *oslorpc.Transport
	client    *oslorpc.Client
}

// NewResourcesPushRPCAPI returns the server's side.
func NewResourcesPushRPCAPI(t *oslorpc.Transport, options ...oslorpc.ClientOption) *ResourcesPushRPCAPI {
	return &ResourcesPushRPCAPI{t, t.Client(oslorpc.Target{Topic: resourceTopics, Version: "1.1"}, options...)}
}

// VersionsInUse returns the versions of a type that running agents know.
func (n *ResourcesPushRPCAPI) VersionsInUse(ctx context.Context, t ObjectType) ([]string, error) {
	instances, err := n.transport.Instances(ctx)
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	for _, i := range instances {
		version, ok := strings.CutPrefix(i.Topic, ResourceTopic(t.Name, ""))
		if ok && i.Exchange == n.transport.DefaultExchange() {
			used[version] = true
		}
	}
	return slices.Sorted(maps.Keys(used)), nil
}

// Push notifies all agents of an event of objects of a type. Agents get the objects at the version
// that they know. The event of a created object is sent as an update, since an update may overtake
// it. For a deleted object, only the id is sent.
func (n *ResourcesPushRPCAPI) Push(ctx context.Context, t ObjectType, objects []map[string]any, event string) error {
	versions, err := n.VersionsInUse(ctx, t)
	if err != nil {
		return err
	}
	if event == ObjectCreated {
		event = ObjectUpdated
	}
	var failures []error
	for _, version := range versions {
		failures = append(failures, n.push(ctx, t, version, objects, event))
	}
	return errors.Join(failures...)
}

func (n *ResourcesPushRPCAPI) push(ctx context.Context, t ObjectType, version string, objects []map[string]any, event string) error {
	args := PushArgs{EventType: event}
	for _, data := range objects {
		if event == ObjectDeleted {
			data = map[string]any{"id": data["id"]}
		}
		object, err := t.Object(version, data)
		if err != nil {
			return err
		}
		args.ResourceList = append(args.ResourceList, object)
	}
	return fanout(ctx, n.client.Prepare(oslorpc.WithTopic(ResourceTopic(t.Name, version))), "push", args)
}

// ResourcesPushRPC is the agent's side of [ResourcesPushRPCAPI].
type ResourcesPushRPC interface {
	Push(ctx context.Context, args PushArgs) error
}

// ResourcesPushRPCCallback returns the endpoint of an agent, for a server on the topic of
// [ResourceTopic].
func ResourcesPushRPCCallback(agent ResourcesPushRPC) oslorpc.Endpoint {
	return oslorpc.Endpoint{Version: "1.1", Struct: oslorpc.Methods(struct{ ResourcesPushRPC }{agent})}
}
