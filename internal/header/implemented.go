package header

import (
	"fmt"
	"strings"

	"google.golang.org/grpc/metadata"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// FormatVersions formats versions for the trailer [Implemented].
func FormatVersions(versions []rpc.Version) string {
	texts := make([]string, len(versions))
	for i, v := range versions {
		texts[i] = v.String()
	}
	return strings.Join(texts, ",")
}

// ParseVersions parses the versions of a trailer. An empty text means that the server implements no
// version of the namespace.
func ParseVersions(s string) ([]rpc.Version, error) {
	if s == "" {
		return nil, nil
	}
	texts := strings.Split(s, ",")
	versions := make([]rpc.Version, len(texts))
	for i, text := range texts {
		v, err := rpc.ParseVersion(strings.TrimSpace(text))
		if err != nil {
			return nil, fmt.Errorf("the trailer %s: %w", Implemented, err)
		}
		versions[i] = v
	}
	return versions, nil
}

// ReadImplemented returns the versions in a trailer. Ok is false if the trailer is missing or
// malformed.
func ReadImplemented(trailer metadata.MD) (versions []rpc.Version, ok bool) {
	values := trailer.Get(Implemented)
	if len(values) != 1 {
		return nil, false
	}
	versions, err := ParseVersions(values[0])
	return versions, err == nil
}
