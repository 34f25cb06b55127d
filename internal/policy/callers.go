package policy

import (
	"fmt"

	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Callers returns a function that reports whether a caller proved a name that one of some patterns
// has; nil without patterns. The error is of kind Invalid. What says what the patterns are, for
// that.
func Callers(what string, texts []string) (func(rpc.Identity) bool, error) {
	if len(texts) == 0 {
		return nil, nil //nolint:nilnil // As documented.
	}
	var wrong error
	checkFrom(texts, func(_ string, _ int, format string, args ...any) {
		wrong = failure.Invalid("%s: %s", what, fmt.Sprintf(format, args...))
	})
	r := rule{}
	for _, text := range texts {
		if text == anyone {
			wrong = failure.Invalid("%s: %q would believe every caller: name the gateways", what, text)
		}
		r.from = append(r.from, newPattern(folded(text), separator(text)))
	}
	if wrong != nil {
		return nil, wrong
	}
	return func(i rpc.Identity) bool { return r.allowsCaller(proved(i)) }, nil
}
