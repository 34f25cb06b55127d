package rpcstatus

import (
	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Implementations encodes interfaces for sending.
func Implementations(all []rpc.Implementation) []*pb.Implementation {
	list := make([]*pb.Implementation, 0, len(all))
	for _, i := range all {
		sent := &pb.Implementation{Version: i.Version.String()}
		if i.Namespace != "" {
			sent.Namespace = &i.Namespace
		}
		list = append(list, sent)
	}
	return list
}

// implemented decodes the interfaces that a peer sent. It skips those with a malformed version.
func implemented(sent []*pb.Implementation) (list []rpc.Implementation) {
	for _, i := range sent {
		if version, err := rpc.ParseVersion(i.GetVersion()); err == nil {
			list = append(list, rpc.Implementation{Namespace: i.GetNamespace(), Version: version})
		}
	}
	return list
}
