package peer

import (
	"fmt"

	"google.golang.org/grpc"

	"github.com/oslorpc/oslorpc/internal/carrier"
)

// Conn is a connection to an address for RPCs that are not messages, such as those for a gateway's
// own services. It is not probed, and the server need not prove its name.
type Conn struct {
	*grpc.ClientConn

	addr  string
	sight sight
}

// Connection returns a connection to an address. gRPC connects at the first use.
func (c Config) Connection(addr string) (*Conn, error) {
	conn := &Conn{addr: addr}
	var err error
	conn.ClientConn, err = c.dialer(nil)(carrier.Key{Addr: addr}, &conn.sight)
	return conn, err
}

// Why returns a sentence that says why the process at the address cannot be reached. The sentence
// begins with who, a name for the process. Why returns an empty string if the process is connected,
// or the reason is not known.
func (c *Conn) Why(who string) string {
	why := c.sight.why()
	if l := c.sight.line.Load(); l != nil && l.greeted.Load() && why.at.Before(l.begun) {
		if !l.lost.Load() {
			return ""
		}
		return fmt.Sprintf("%s at %s ended the connection, or the network lost it; its process may have stopped or died", who, c.addr)
	}
	if pending := c.sight.pending(); pending.trouble != unknown {
		why = pending
	}
	switch why.trouble {
	case unknown:
		return ""
	case mistrusted:
		return fmt.Sprintf("%s at %s %s", who, c.addr, why.distrust)
	default:
		return sentence(who, c.addr, why, why.err)
	}
}
