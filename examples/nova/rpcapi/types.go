package rpcapi

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	_ "github.com/oslorpc/oslorpc/pkg/registry/consul" // for consul:// URLs
)

// The topics of the services.
const (
	ConductorTopic = "conductor"
	SchedulerTopic = "scheduler"
	ComputeTopic   = "compute"
	// ComputeAltTopic takes what continues work in progress, such as the steps of a migration. A
	// compute that is told to stop serves it for as long as that work lasts, when it takes no new
	// work from ComputeTopic any more.
	ComputeAltTopic = "compute-alt"
)

// Instance is a virtual machine.
type Instance struct {
	UUID        string `json:"uuid"`
	DisplayName string `json:"display_name"`
	// Host is the compute that it is on; empty as long as it is on none.
	Host      string  `json:"host"`
	VMState   VMState `json:"vm_state"`
	TaskState string  `json:"task_state"`
	ImageRef  string  `json:"image_ref"`
	Flavor    Flavor  `json:"flavor"`
	// Fault says what went wrong last.
	Fault string `json:"fault"`
}

// VMState is what has become of an instance.
type VMState string

// The states of instances.
const (
	Building VMState = "building"
	Active   VMState = "active"
	Failed   VMState = "error"
)

// What is done with an instance at the moment. If it is nothing, its task state is empty, and only
// then something else can begin.
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

// RequestSpec is what a scheduler has to know of an instance.
type RequestSpec struct {
	Flavor Flavor `json:"flavor"`
	// Cell and Host are where it has to be, if they are not empty.
	Cell string `json:"cell"`
	Host string `json:"host"`
	// IgnoreHosts are where it must not be.
	IgnoreHosts []string `json:"ignore_hosts"`
}

// Selection is where an instance may be.
type Selection struct {
	Cell        string `json:"cell"`
	ServiceHost string `json:"service_host"`
}

// InstanceNotFound says that there is no such instance, such as because it was deleted a moment
// ago.
type InstanceNotFound struct {
	InstanceID string `json:"instance_id"`
}

// Error implements error.
func (e *InstanceNotFound) Error() string { return "instance " + e.InstanceID + " could not be found" }

// NoValidHost says that no compute can take an instance.
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

// UnexpectedTaskState says that an instance was not changed, since it is in another task than was
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

// ErrNoHost keeps a message about an instance that is on no compute from going to any.
var ErrNoHost = errors.New("the instance is on no compute host")

// ErrorTypes are the errors that arrive as what they were, by the names of Nova's
// exceptions.
func ErrorTypes() []oslorpc.TransportOption {
	return []oslorpc.TransportOption{
		oslorpc.WithErrorValue("NoHost", ErrNoHost),
		oslorpc.WithErrorType[*InstanceNotFound]("InstanceNotFound"),
		oslorpc.WithErrorType[*NoValidHost]("NoValidHost"),
		oslorpc.WithErrorType[*MigrationError]("MigrationError"),
		oslorpc.WithErrorType[*UnexpectedTaskState]("UnexpectedTaskStateError"),
	}
}

// Open opens a transport that knows the errors of this package, at both ends. It stands for
// nova.rpc.init.
func Open(url string, options ...oslorpc.TransportOption) (*oslorpc.Transport, error) {
	return oslorpc.Open(url, append(ErrorTypes(), options...)...)
}

// AdminContext returns ctx with the request context of a service that acts for itself: with all
// rights, and a request id of its own, by which the logs of all services that take part can be
// matched.
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
