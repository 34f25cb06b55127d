package memnet

import (
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// A read that waits behind a partition returns at its deadline, as on a socket. gRPC limits
// handshakes in this way, and a stopping server waits for handshakes.
func TestReadBehindAPartitionHasADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n Network
		h := n.ListenAt("a")
		defer h.Kill()
		var dialed net.Conn
		go func() { dialed, _ = n.Dial(t.Context(), "a") }()
		accepted, err := h.Accept()
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		h.Partition()
		go func() { _, _ = dialed.Write([]byte("hello")) }()
		const patience = time.Minute
		if err := accepted.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if _, err := accepted.Read(make([]byte, 5)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begin) != patience {
			t.Errorf("reading ended after %v with %v", time.Since(begin), err)
		}
		_ = dialed.Close()   // it never fails
		_ = accepted.Close() // as above
	})
}
