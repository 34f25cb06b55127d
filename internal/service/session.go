package service

import (
	"google.golang.org/grpc"

	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Session refuses sessions: the caller sends its messages by the other RPCs.
func (s *Services) Session(grpc.BidiStreamingServer[pb.SessionRequest, pb.SessionResponse]) error {
	return statusOf(&rpc.Error{
		Kind: rpc.NoSuchMethod, Method: "Session", NotStarted: true, Message: "this server takes no sessions: use the other RPCs",
	}, nil)
}
