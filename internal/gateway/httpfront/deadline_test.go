package httpfront_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"
)

// connection is a response on a connection that had earlier responses.
type connection struct {
	http.ResponseWriter

	deadlines []time.Time // of writing, as they were set
}

// SetWriteDeadline is the method that [http.ResponseController] calls.
func (c *connection) SetWriteDeadline(deadline time.Time) error {
	c.deadlines = append(c.deadlines, deadline)
	return nil
}

// TestWriteDeadlineIsForgotten checks that the write deadline of a response does not apply to the
// next response on the connection, which may have no body that sets another deadline.
func TestWriteDeadlineIsForgotten(t *testing.T) {
	f := newFleet(t, []string{"a"}, nil)
	for path, want := range map[string]int{"/v1/cast/volumes/note": http.StatusAccepted, "/v1/call/volumes/whoami": http.StatusOK} {
		recorder := httptest.NewRecorder()
		c := &connection{ResponseWriter: recorder}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, http.NoBody)
		r.Host = "localhost"
		f.handler.ServeHTTP(c, r)
		if recorder.Code != want {
			t.Errorf("%s: status %d, want %d: %s", path, recorder.Code, want, recorder.Body)
		}
		if len(c.deadlines) == 0 || !c.deadlines[0].IsZero() {
			t.Errorf("%s: the write deadlines are %v: the one of the response before still counts", path, c.deadlines)
		}
		if has := slices.ContainsFunc(c.deadlines, func(d time.Time) bool { return !d.IsZero() }); has != (recorder.Body.Len() > 0) {
			t.Errorf("%s: with a body of %d bytes, the write deadlines are %v", path, recorder.Body.Len(), c.deadlines)
		}
	}
}
