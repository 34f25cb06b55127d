package header

import (
	"context"
	"fmt"

	"google.golang.org/grpc/metadata"
)

// claimsKey is the key of headers that a message of the contract came with.
type claimsKey struct{}

// Note returns the context of an RPC of the contract for [Contradiction]. It is ctx itself if no
// header is of ours, as is usual: the request says everything. It keeps md, which must not change.
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

// usual are the headers that an RPC has without any metadata.
var usual = [...]string{":authority", "content-type", "user-agent"}

func hasUsual(md metadata.MD) bool {
	for _, key := range usual {
		if _, has := md[key]; !has {
			return false
		}
	}
	return true
}

// Contradiction returns an error if a header that [Note] kept says something else than the request,
// or is malformed. Proxies route by headers, so the message would not be where it is meant to be.
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
		value, err := Headers{arrived: md}.escaped(claim.key)
		switch {
		case err != nil:
			return err
		case value == "" || value == claim.said:
		case claim.said == "":
			return fmt.Errorf("the header %s says %.64q, and the request says nothing of it: leave the header out", claim.key, value)
		default:
			return fmt.Errorf("the header %s says %.64q, and the request says %.64q: leave the header out", claim.key, value, claim.said)
		}
	}
	return nil
}
