package interop

import (
	"github.com/oslorpc/oslorpc/internal/interop/wire"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// These are the exceptions that clients of oslo.messaging raise.
const (
	remoteClass   = "RemoteError"
	timeoutClass  = "MessagingTimeout"
	deliveryClass = "MessageDeliveryFailure"
	// builtinClass is the Python class that the servers of oslo.messaging raise.
	builtinClass = "ValueError"
)

// osloSays returns how a client of oslo.messaging reports an error. It raises its own exceptions,
// which tell neither the server nor whether the message ran.
func osloSays(e wire.Error, server *Language) wire.Error {
	want := wire.Error{Kind: e.Kind}
	switch e.Kind {
	case rpc.Remote.Name():
		want = e
		want.Kind, want.Server, want.Safe = remoteClass, "", false
		switch {
		case e.Class != "":
			want.Kind, want.Type = e.Class, ""
		case server.is(blocking) || server.is(oslo):
			want.Kind = builtinClass
		}
	case rpc.UnsupportedVersion.Name(), rpc.NoSuchMethod.Name():
		want.Kind, want.Type = remoteClass, e.Kind
	case rpc.Timeout.Name(), rpc.NoInstance.Name(), rpc.OutcomeUnknown.Name():
		want.Kind = timeoutClass
	case rpc.TooLarge.Name():
		want.Kind = deliveryClass
	}
	return want
}
