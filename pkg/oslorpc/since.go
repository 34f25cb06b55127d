package oslorpc

import (
	"fmt"

	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Since returns the method with the version of its interface in which it appeared, as "major.minor". It is information for
// those who read what the server offers, and decides nothing: a message that asks for the method at an earlier version is served.
//
// It can be combined with [Deprecated], [Expose] and [Expected] in any order. To mark methods of a struct, use [MethodsSince]. A
// version that is malformed, or later than that of the endpoint, is an error of kind [Invalid] at the server's start.
func Since(version string, m Method) Method {
	v, err := givenVersion("Since", version)
	if err != nil {
		return m.broken(err)
	}
	return m.with(func(impl *dispatch.Method) { impl.Since = v })
}

// Deprecated returns the method with the version of its interface in which it was deprecated, as "major.minor". Messages that ask for
// it are served as before, at any version; what the server offers has the mark, and [WithRequests] tells who still asks for it. The
// version must not be earlier than that of [Since], and else is as that. To mark methods of a struct, use [DeprecateMethods].
func Deprecated(version string, m Method) Method {
	v, err := givenVersion("Deprecated", version)
	if err != nil {
		return m.broken(err)
	}
	return m.with(func(impl *dispatch.Method) { impl.Deprecated = v })
}

// MethodsSince marks Go methods as [Since] does.
func MethodsSince(version string, methods ...string) MethodsOption {
	return markMethods(methods, func(m Method) Method { return Since(version, m) })
}

// DeprecateMethods marks Go methods as [Deprecated] does.
func DeprecateMethods(version string, methods ...string) MethodsOption {
	return markMethods(methods, func(m Method) Method { return Deprecated(version, m) })
}

// broken returns what stands for a method that was marked wrongly. What was wrong with it before comes first.
func (m Method) broken(err error) Method {
	if m.err != nil {
		return m
	}
	return Method{err: err}
}

// givenVersion reads the version that a mark was given. 0.0 would be as if nothing was said.
func givenVersion(mark, version string) (Version, error) {
	v, err := rpc.ParseVersion(version)
	if err != nil {
		return v, invalidUse("%s: %v", mark, err)
	}
	if v == (Version{}) {
		return v, invalidUse("%s was given version 0.0, in which nothing exists", mark)
	}
	return v, nil
}

// checkHistory reports what does not fit together in the marks of something in an endpoint.
func checkHistory(since, deprecated, endpoint Version) error {
	switch {
	case since.Compare(endpoint) > 0:
		return invalidUse("it is since %s, and the endpoint implements %s", since, endpoint)
	case deprecated.Compare(endpoint) > 0:
		return invalidUse("it is deprecated in %s, and the endpoint implements %s", deprecated, endpoint)
	case deprecated != Version{} && deprecated.Compare(since) < 0:
		return invalidUse("it is deprecated in %s, before it appeared in %s", deprecated, since)
	default:
		return nil
	}
}

// buildHistory reads the marks of a whole endpoint, and checks them and those of its methods.
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
