package intake

import (
	"errors"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// A caller may attach exactly the servers that an attach rule allows. Rules for messages do not
// count.
func TestAttach(t *testing.T) {
	t.Parallel()
	in := newIntake(nil)
	at := &rpc.Instance{Exchange: "nova", Topic: "compute", Server: "edge1"}
	if err := in.Attach(t.Context(), at, nowhere{}, ""); err != nil {
		t.Errorf("without a policy: %v", err)
	}
	for name, test := range map[string]struct {
		change func(*trust.Rule)
		denied bool
	}{
		"messages":       {func(*trust.Rule) {}, true},
		"attach":         {func(r *trust.Rule) { r.Delivery = []rpc.Delivery{rpc.DeliveryAttach} }, false},
		"another server": {func(r *trust.Rule) { r.Delivery, r.Server = []rpc.Delivery{rpc.DeliveryAttach}, []string{"edge2"} }, true},
	} {
		in.config.Gate, _ = gated(t, false, everyone(test.change))
		if err := in.Attach(t.Context(), at, nowhere{}, ""); test.denied != errors.Is(err, rpc.AccessDenied) || !test.denied && err != nil {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
