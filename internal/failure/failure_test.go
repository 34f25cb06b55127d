package failure

import (
	"errors"
	"fmt"
	"testing"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestCopiesAreChangedAndOriginalsAreNot(t *testing.T) {
	original := &rpc.Error{Kind: rpc.Refused, Message: "full"}
	target := rpc.Target{Topic: "compute"}
	err := NotStarted(Name(fmt.Errorf("within another: %w", original), target, "build"))
	want := rpc.Error{Kind: rpc.Refused, Message: "full", Target: target, Method: "build", NotStarted: true}
	if e, ok := errors.AsType[*rpc.Error](err); !ok || *e != want {
		t.Errorf("got %#v, want %#v", err, want)
	}
	if original.NotStarted || original.Method != "" {
		t.Errorf("the original was changed: %#v", original)
	}
}

func TestOtherErrorsStayAsTheyAre(t *testing.T) {
	for _, err := range []error{nil, errors.New("another")} {
		if got := Name(err, rpc.Target{}, "m"); got != err { //nolint:errorlint // It must be the same value.
			t.Errorf("%v became %v", err, got)
		}
	}
}

func TestText(t *testing.T) {
	cause := errors.New("lost")
	for want, err := range map[string]error{
		"full":              &rpc.Error{Kind: rpc.Refused, Message: "full"},
		"lost":              cause,
		"unreachable: lost": fmt.Errorf("unreachable: %w", cause),
	} {
		if got := Text(err); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
