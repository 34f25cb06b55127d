package discovery

import (
	"strings"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Offer lists implemented interfaces in words, for error texts.
func Offer(list []rpc.Implementation) string {
	if len(list) == 0 {
		return "no endpoint is offered"
	}
	words := make([]string, 0, len(list))
	for _, i := range list {
		words = append(words, i.Version.String()+" of the "+rpc.DescribeNamespace(i.Namespace))
	}
	return "offered is " + strings.Join(words, ", ")
}
