package endpoint

import (
	"fmt"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// givenVersion parses the version of a mark, such as Since. It refuses 0.0, since that value means
// that no version is given.
func givenVersion(mark, version string) (rpc.Version, error) {
	v, err := rpc.ParseVersion(version)
	if err != nil {
		return v, failure.Invalid("%s: %v", mark, err)
	}
	if v == (rpc.Version{}) {
		return v, failure.Invalid("%s is version 0.0, which means no version: give a later one, or leave it out", mark)
	}
	return v, nil
}

// checkHistory returns an error if the versions Since and Deprecated of a method or an endpoint
// contradict each other, or the version of the endpoint.
func checkHistory(since, deprecated, endpoint rpc.Version) error {
	switch {
	case since.Compare(endpoint) > 0:
		return failure.Invalid("Since is %s, but the endpoint implements %s: raise the endpoint's version, or lower Since", since, endpoint)
	case deprecated.Compare(endpoint) > 0:
		return failure.Invalid("Deprecated is %s, but the endpoint implements %s: raise the endpoint's version, or lower Deprecated", deprecated, endpoint)
	case deprecated != rpc.Version{} && deprecated.Compare(since) < 0:
		return failure.Invalid("Deprecated is %s, which is earlier than Since, %s", deprecated, since)
	default:
		return nil
	}
}

// buildHistory parses Since and Deprecated of an endpoint, and checks these versions of the
// endpoint and of its methods.
func (e Endpoint) buildHistory(built *dispatch.Endpoint) (err error) {
	if e.Since != "" {
		built.Since, err = givenVersion("Since", e.Since)
	}
	if e.Deprecated != "" && err == nil {
		built.Deprecated, err = givenVersion("Deprecated", e.Deprecated)
	}
	if err == nil {
		err = checkHistory(built.Since, built.Deprecated, built.Version)
	}
	if err != nil {
		return fmt.Errorf("endpoint %q: %w", e.Namespace, err)
	}
	for name, m := range built.Methods {
		if err := checkHistory(m.Since, m.Deprecated, built.Version); err != nil {
			return fmt.Errorf("method %q of endpoint %q: %w", name, e.Namespace, err)
		}
	}
	if f := built.Fallback; f != nil {
		if err := checkHistory(f.Since, f.Deprecated, built.Version); err != nil {
			return fmt.Errorf("fallback of endpoint %q: %w", e.Namespace, err)
		}
	}
	return nil
}
