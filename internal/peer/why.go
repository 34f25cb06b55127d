package peer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/oslorpc/oslorpc/internal/carrier"
	"github.com/oslorpc/oslorpc/internal/connection"
	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/internal/security"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// trouble is the reason why a peer cannot be reached, or does not answer.
type trouble uint8

const (
	unknown    trouble = iota
	absent             // nothing listens at its address
	lost               // nothing answers at its address
	hung               // it accepts connections and sends nothing
	hungUp             // it closes connections before it sends its preface
	foreign            // it sends something other than HTTP/2
	mistrusted         // one end does not trust the other, and trying again does not help
	undialed           // connecting failed in another way
)

// fault is why an attempt to connect failed.
type fault struct {
	trouble trouble
	err     error // the details; may be nil
	// distrust says why one end does not trust the other, as the end of a sentence.
	distrust string
	at       time.Time // when it was noticed
}

// isNow reports whether the fault is a lack of trust that was found within the last second. Then
// there is no point in waiting for another attempt to connect.
func (f fault) isNow() bool { return f.trouble == mistrusted && time.Since(f.at) < time.Second }

func dialFault(ctx context.Context, err error) fault {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return fault{trouble: absent, err: err}
	case timedOut(ctx, err):
		return fault{trouble: lost}
	default:
		return fault{trouble: undialed, err: err}
	}
}

func handshakeFault(ctx context.Context, err error) fault {
	if unready, is := errors.AsType[*security.NotReadyError](err); is {
		return unreadyFault(unready)
	}
	if why := distrust(err); why != "" && ctx.Err() == nil {
		return fault{trouble: mistrusted, distrust: why, err: err}
	}
	switch {
	case timedOut(ctx, err), errors.Is(err, net.ErrClosed):
		return fault{trouble: hung}
	default:
		return fault{trouble: hungUp, err: err}
	}
}

// unreadyFault returns the fault if this client has no certificate yet. If the source refused to
// give it one, trying again does not help.
func unreadyFault(err *security.NotReadyError) fault {
	if errors.Is(err, rpc.Invalid) {
		return fault{trouble: mistrusted, distrust: fmt.Sprintf("was not connected to: %v", err), err: err}
	}
	return fault{trouble: undialed, err: err}
}

func timedOut(ctx context.Context, err error) bool {
	var timeout interface{ Timeout() bool }
	return ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// Absent reports whether nothing listened at the peer's address at the last attempt to connect.
func (p *Peer) Absent() bool { return p.Health() == carrier.Down && p.sight.why().trouble == absent }

// Mistrusted reports whether the last attempt to connect failed because one end does not trust the
// other, so that waiting does not help.
func (p *Peer) Mistrusted() bool {
	return p.Health() == carrier.Down && p.sight.why().trouble == mistrusted
}

// Explain implements [carrier.Link].
func (p *Peer) Explain(server string, err error) (rpc.Kind, string) {
	why := p.sight.why()
	if h := p.Health(); h == carrier.Silent {
		why = fault{trouble: hung}
	} else if h != carrier.Down {
		why = p.sight.pending()
	}
	if why.trouble == mistrusted {
		return rpc.Untrusted, fmt.Sprintf("%s at %s %s", who(server), p.key.Addr, why.distrust)
	}
	if why.trouble == absent && p.pool != nil && p.pool.expiry > 0 {
		return rpc.Unreachable, fmt.Sprintf("%s cannot be reached: nothing listens at %s; the process is probably dead, "+
			"and its registration expires within %v (%s)", who(server), p.key.Addr, p.pool.expiry, failure.Dialing(why.err))
	}
	return rpc.Unreachable, sentence(who(server), p.key.Addr, why, err)
}

// who returns words for a server, whose name may be empty, as the subject of a sentence.
func who(server string) string {
	if server == "" {
		return "the server"
	}
	return "server " + plain(server)
}

// sentence returns a sentence that says why the process at an address cannot be reached.
func sentence(who, addr string, why fault, err error) string {
	switch why.trouble {
	case absent:
		return fmt.Sprintf("%s cannot be reached: nothing listens at %s; the process is probably dead (%s)", who, addr, failure.Dialing(why.err))
	case lost:
		return fmt.Sprintf("%s at %s does not answer; its host may be down, or the network may not reach it", who, addr)
	case hung:
		return fmt.Sprintf("%s at %s accepts connections but sends nothing; its process may be hung", who, addr)
	case hungUp:
		return fmt.Sprintf("%s at %s closed the connection during the handshake%s; if it requires TLS, %s", who, addr, inBrackets(why.err), lookAtCA)
	case foreign:
		return fmt.Sprintf("%s at %s answers with something other than gRPC; another program may have the address, or it requires TLS: %s", who, addr, lookAtCA)
	case undialed:
		return fmt.Sprintf("%s at %s cannot be connected to: %s", who, addr, failure.Dialing(why.err))
	default:
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Sprintf("%s at %s could not be connected to in time; its process may be hung, or the network may not reach it", who, addr)
		}
		if connection.IsXDS(addr) {
			return fmt.Sprintf("%s at %s cannot be connected to: %v; the control plane of the mesh, which the file in GRPC_XDS_BOOTSTRAP names, "+
				"gives no address that answers", who, addr, err)
		}
		return fmt.Sprintf("%s at %s cannot be connected to: %v", who, addr, err)
	}
}

// pending returns the fault of a current attempt to connect: hung if the peer accepted the
// connection quietTime ago and has not sent its preface. Otherwise it returns the zero fault.
func (s *sight) pending() fault {
	if l := s.line.Load(); l != nil && !l.greeted.Load() && !l.closed.Load() && time.Since(l.begun) >= quietTime {
		return fault{trouble: hung}
	}
	return fault{}
}

func inBrackets(err error) string {
	if err == nil {
		return ""
	}
	return fmt.Sprintf(" (%v)", err)
}

// plain returns a name unchanged if it has only ordinary characters, else quoted.
func plain(name string) string {
	if strings.ContainsAny(name, ` "'`) || strconv.Quote(name) != `"`+name+`"` {
		return strconv.Quote(name)
	}
	return name
}
