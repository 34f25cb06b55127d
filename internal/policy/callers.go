package policy

import (
	"fmt"

	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Callers returns a function that reports whether a caller proved a name that matches one of the
// patterns texts. It returns nil if there are no patterns. An error is of kind Invalid, and begins
// with what, the name of the setting with the patterns.
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
