package oslorpc

import (
	"time"

	"github.com/oslorpc/oslorpc/internal/client"
)

// WithCallMonitorTimeout makes calls fail with the kind [MonitorTimeout] when the client hears
// nothing from the server for d. The client asks for a heartbeat every d/2, and at most every 10
// ms, while the message waits in the server's queue and while it runs. So a call may have a long
// [WithTimeout], and still end soon when its server hangs. Heartbeats never extend that timeout,
// which gives the kind [Timeout]. When the call fails, the method's context is canceled. A call
// that no server accepts within d fails as well, with the kind that says why, such as [NoInstance].
//
// 0 or less, the default, disables monitoring. Values below some 50 ms are of no use, because a
// busy server then seems to be dead. The option applies to [Call] and [Gather]; other operations
// ignore it.
func WithCallMonitorTimeout(d time.Duration) ClientOption {
	return clientOption(func(s *client.Settings) { s.Monitor = d })
}
