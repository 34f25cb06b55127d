package interop

import (
	"github.com/oslorpc/oslorpc/internal/interop/wire"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// The exceptions of oslo.messaging that its client raises.
const (
	remoteClass   = "RemoteError"
	timeoutClass  = "MessagingTimeout"
	deliveryClass = "MessageDeliveryFailure"
	// builtinClass is the class of Python that its servers raise.
	builtinClass = "ValueError"
)

// osloSays returns how oslo.messaging's client tells an error: by exceptions of its own, which say
// neither which server they are about nor whether the message ran.
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
