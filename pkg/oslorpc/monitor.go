package oslorpc

import (
	"time"

	"github.com/oslorpc/oslorpc/internal/client"
)

// WithCallMonitorTimeout makes calls fail with the kind [MonitorTimeout] when the server gives no
// sign of life for d. It is asked for a heartbeat every d/2, at most every 10 ms, while the message
// waits in its queue and runs. So a call may have a long [WithTimeout], and still end soon when its
// server hangs. Heartbeats never extend that timeout, which gives the kind [Timeout]. The method's
// context is canceled. A call that no server takes for d fails as well, with the kind that says
// why, such as [NoInstance].
//
// 0 or less, the default, is no monitoring. It is of no use below some 50 ms, where a busy machine
// looks dead. It holds for [Call] and [Gather], and other operations ignore it.
func WithCallMonitorTimeout(d time.Duration) ClientOption {
	return clientOption(func(s *client.Settings) { s.Monitor = d })
}
