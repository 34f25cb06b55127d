package header

import (
	"context"
	"fmt"

	"google.golang.org/grpc/metadata"
)

// claimsKey is the context key for the headers of a message of the library's protocol.
type claimsKey struct{}

// Note returns a context that keeps the headers of an RPC of the library's protocol, for
// [Contradiction]. It returns ctx itself if no name of a header begins with "oslorpc-", which is
// usual, since the request has all fields. Md must not be changed afterwards.
func Note(ctx context.Context, md metadata.MD) context.Context {
	if len(md) == len(usual) && hasUsual(md) {
		return ctx
	}
	for key := range md {
		if isOurs(key) {
			return context.WithValue(ctx, claimsKey{}, md)
		}
	}
	return ctx
}

// Claims reports whether [Note] kept headers.
func Claims(ctx context.Context) bool { return ctx.Value(claimsKey{}) != nil }

// usual are the headers of an RPC without metadata.
var usual = [...]string{":authority", "content-type", "user-agent"}

func hasUsual(md metadata.MD) bool {
	for _, key := range usual {
		if _, has := md[key]; !has {
			return false
		}
	}
	return true
}

// routes are the headers that proxies use for routing.
var routes = [...]string{Exchange, Topic, Server, Version, Instance}

// Routed returns the name of a noted header that proxies use for routing, or an empty string.
func Routed(ctx context.Context) string {
	md, _ := ctx.Value(claimsKey{}).(metadata.MD)
	if md == nil {
		return ""
	}
	for _, key := range routes {
		if len(md[key]) > 0 {
			return key
		}
	}
	return ""
}

// Disagreement is [Contradiction] for a single header, for requests with only one of the fields.
// Said is the value in the request.
func Disagreement(ctx context.Context, key, said string) error {
	md, _ := ctx.Value(claimsKey{}).(metadata.MD)
	if md == nil || said == "" {
		return nil
	}
	return disagreement(md, key, said)
}

// Contradiction returns an error if a noted header is malformed, or differs from the request.
// Proxies route by headers, so such a message may have reached the wrong server.
func Contradiction(ctx context.Context, r *Request, version string) error {
	md, _ := ctx.Value(claimsKey{}).(metadata.MD)
	if md == nil {
		return nil
	}
	for _, claim := range [...]struct{ key, said string }{
		{Version, version},
		{Exchange, r.Exchange},
		{Topic, r.Topic},
		{Server, r.Server},
		{Instance, r.Instance},
		{ID, r.ID},
		{OrderKey, r.OrderKey},
	} {
		if err := disagreement(md, claim.key, claim.said); err != nil {
			return err
		}
	}
	return nil
}

// disagreement returns an error if a header is malformed, or is not said, the value in the request.
func disagreement(md metadata.MD, key, said string) error {
	value, err := Headers{arrived: md}.escaped(key)
	switch {
	case err != nil:
		return err
	case value == "" || value == said:
		return nil
	case said == "":
		return fmt.Errorf("the header %s says %.64q, but the request does not set it: leave the header out", key, value)
	default:
		return fmt.Errorf("the header %s says %.64q, but the request says %.64q: leave the header out", key, value, said)
	}
}
