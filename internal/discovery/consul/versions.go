package consul

import (
	"slices"
	"strconv"
	"strings"

	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// metaVersions plus a number is the key of one part of the list of implementations.
const metaVersions = "rpc-versions-"

const (
	// maxValue and maxPairs are Consul's limits on metadata. MaxParts is how many parts of the list
	// fit beside the other keys.
	maxValue = 512
	maxPairs = 64
	maxParts = maxPairs - 8
)

// putVersions writes the implementations to metadata, as a list separated by commas. The list is
// cut into parts of equal size, wherever the commas are.
func putVersions(meta map[string]string, implemented []rpc.Implementation) error {
	list := make([]string, 0, len(implemented))
	for _, i := range implemented {
		list = append(list, discovery.FormatImplementation(i))
	}
	text := []byte(strings.Join(list, ","))
	if most := maxParts * maxValue; len(text) > most {
		return invalid("publish %s of %s: its %d interfaces take %d bytes, and Consul's metadata has room for %d",
			meta[metaServer], meta[metaTopic], len(implemented), len(text), most)
	}
	n := 0
	for part := range slices.Chunk(text, maxValue) {
		meta[metaVersions+strconv.Itoa(n)] = string(part)
		n++
	}
	return nil
}

// versions parses the implementations that putVersions wrote.
func versions(meta map[string]string) ([]rpc.Implementation, error) {
	var text strings.Builder
	for n := 0; ; n++ {
		part, ok := meta[metaVersions+strconv.Itoa(n)]
		if !ok {
			break
		}
		text.WriteString(part)
	}
	if text.Len() == 0 {
		return nil, nil
	}
	var list []rpc.Implementation
	for item := range strings.SplitSeq(text.String(), ",") {
		i, err := discovery.ParseImplementation(item)
		if err != nil {
			return nil, err
		}
		list = append(list, i)
	}
	return list, nil
}
