package rpcapi

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	_ "github.com/oslorpc/oslorpc/pkg/registry/consul" // for consul:// URLs
)

// These are the topics of the services.
const (
	ConductorTopic = "conductor"
	SchedulerTopic = "scheduler"
	ComputeTopic   = "compute"
	// ComputeAltTopic is for messages that continue work in progress, such as the steps of a
	// migration. A compute that stops serves it until its work is done, when it no longer accepts
	// new work from ComputeTopic.
	ComputeAltTopic = "compute-alt"
)

// Instance is a virtual machine.
type Instance struct {
	UUID        string `json:"uuid"`
	DisplayName string `json:"display_name"`
	// Host is the compute of the instance, empty while it has none.
	Host      string  `json:"host"`
	VMState   VMState `json:"vm_state"`
	TaskState string  `json:"task_state"`
	ImageRef  string  `json:"image_ref"`
	Flavor    Flavor  `json:"flavor"`
	// Fault is the text of the last error. It is empty if nothing has failed.
	Fault string `json:"fault"`
}

// VMState is the state of an instance.
type VMState string

// These are the states of instances.
const (
	Building VMState = "building"
	Active   VMState = "active"
	Failed   VMState = "error"
)

// These are the task states of an instance. The task state is empty if no task is in progress. Only
// then can a task begin.
const (
	Scheduling = "scheduling"
	Rebooting  = "rebooting"
	Rebuilding = "rebuilding"
	Resizing   = "resizing"
	Migrating  = "migrating"
)

// Flavor is the size of an instance.
type Flavor struct {
	Name     string `json:"name"`
	VCPUs    int    `json:"vcpus"`
	MemoryMB int    `json:"memory_mb"`
}

// RequestSpec is the information about an instance that a scheduler needs.
type RequestSpec struct {
	Flavor Flavor `json:"flavor"`
	// Cell and Host are where the instance must be, if they are not empty.
	Cell string `json:"cell"`
	Host string `json:"host"`
	// IgnoreHosts are the hosts where the instance must not be.
	IgnoreHosts []string `json:"ignore_hosts"`
}

// Selection is a host that a scheduler selected for an instance.
type Selection struct {
	Cell        string `json:"cell"`
	ServiceHost string `json:"service_host"`
}

// InstanceNotFound says that there is no such instance, for example because it was just deleted.
type InstanceNotFound struct {
	InstanceID string `json:"instance_id"`
}

// Error implements error.
func (e *InstanceNotFound) Error() string { return "instance " + e.InstanceID + " could not be found" }

// NoValidHost is the error that no compute has room for an instance.
type NoValidHost struct {
	Reason string `json:"reason"`
}

// Error implements error.
func (e *NoValidHost) Error() string { return "no valid host was found: " + e.Reason }

// MigrationError says why an instance cannot move.
type MigrationError struct {
	Reason string `json:"reason"`
}

// Error implements error.
func (e *MigrationError) Error() string { return "migration error: " + e.Reason }

// UnexpectedTaskState says that an instance was not changed because it is in another task than
// expected: another process was faster.
type UnexpectedTaskState struct {
	InstanceID string `json:"instance_id"`
	Expected   string `json:"expected"`
	Actual     string `json:"actual"`
}

// Error implements error.
func (e *UnexpectedTaskState) Error() string {
	return fmt.Sprintf("instance %s is in the task %q, not %q", e.InstanceID, e.Actual, e.Expected)
}

// ErrNoHost is the error for a message to the host of an instance that has no host. Without it, the
// message would go to any compute.
var ErrNoHost = errors.New("the instance is on no compute host")

// ErrorTypes registers the errors that arrive as Go errors, under the names of Nova's exceptions.
func ErrorTypes() []oslorpc.TransportOption {
	return []oslorpc.TransportOption{
		oslorpc.WithErrorValue("NoHost", ErrNoHost),
		oslorpc.WithErrorType[*InstanceNotFound]("InstanceNotFound"),
		oslorpc.WithErrorType[*NoValidHost]("NoValidHost"),
		oslorpc.WithErrorType[*MigrationError]("MigrationError"),
		oslorpc.WithErrorType[*UnexpectedTaskState]("UnexpectedTaskStateError"),
	}
}

// Open opens a transport with the error types of this package, for clients and servers. It
// corresponds to nova.rpc.init.
func Open(url string, options ...oslorpc.TransportOption) (*oslorpc.Transport, error) {
	return oslorpc.Open(url, append(ErrorTypes(), options...)...)
}

// AdminContext returns ctx with the request context of a service that acts on its own behalf. It
// has all rights and a new request id, by which operators can match the logs of several services.
func AdminContext(ctx context.Context) context.Context {
	return oslorpc.WithContext(ctx, oslorpc.RequestContext{"is_admin": true, "request_id": "req-" + NewUUID()})
}

// NewUUID returns a random UUID.
func NewUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
