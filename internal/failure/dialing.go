package failure

import (
	"errors"
	"fmt"
	"net"
	"os"
)

// Dialing returns the reason why connecting or listening failed, without the address, for a text
// that names the address already.
func Dialing(err error) string {
	if lookup, ok := errors.AsType[*net.DNSError](err); ok {
		return fmt.Sprintf("the name %s cannot be resolved (%s): check it, and DNS", lookup.Name, lookup.Err)
	}
	if call, ok := errors.AsType[*os.SyscallError](err); ok {
		return call.Err.Error()
	}
	if of, ok := errors.AsType[*net.OpError](err); ok && (of.Op == "dial" || of.Op == "listen") {
		return of.Err.Error()
	}
	return err.Error()
}
