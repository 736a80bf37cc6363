package workflows_test

import (
	"context"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dapr/durabletask-go/api/protos"
	"github.com/dapr/durabletask-go/workflow"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/longrun-dev/longrun/workflows"
)

// refusing is a sidecar that answers and gives no work, as one without an actor
// state store does.
type refusing struct {
	protos.UnimplementedTaskHubSidecarServiceServer
	streams atomic.Int32
}

func (*refusing) Hello(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

func (r *refusing) GetWorkItems(*protos.GetWorkItemsRequest, protos.TaskHubSidecarService_GetWorkItemsServer) error {
	r.streams.Add(1)
	return status.Error(codes.Unavailable, "unable to establish work item stream at this time")
}

// serve serves a sidecar at a free port until end is called.
func serve(t *testing.T, register func(*grpc.Server)) (conn *grpc.ClientConn, end func()) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer()
	register(server)
	go func() { _ = server.Serve(listener) }() // ends with Stop
	conn, err = grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() {
		server.Stop()
		require.NoError(t, conn.Close())
	})
	return conn, server.Stop
}

// A sidecar that ends every stream at once is asked again, and not all the time.
// Stopping does not wait for it, nor for one that is gone, and leaves nothing
// behind.
func TestWorkOnARefusingSidecar(t *testing.T) {
	sidecar := new(refusing)
	conn, end := serve(t, func(s *grpc.Server) { protos.RegisterTaskHubSidecarServiceServer(s, sidecar) })
	engine := workflows.NewDaprEngine(conn, limits)
	before := runtime.NumGoroutine()
	for _, gone := range []bool{false, true} {
		stop, err := engine.Work(t.Context(), workflow.NewRegistry())
		require.NoError(t, err)
		_, err = engine.Work(t.Context(), workflow.NewRegistry())
		require.Error(t, err, "it works already")
		asked, began := sidecar.streams.Load(), time.Now()
		require.Eventually(t, func() bool { return sidecar.streams.Load() >= asked+4 }, patience, time.Millisecond)
		require.Greater(t, time.Since(began), 100*time.Millisecond, "pauses grow from 50 ms")
		if gone {
			end()
		}
		began = time.Now()
		require.NoError(t, stop(t.Context()))
		require.Less(t, time.Since(began), time.Second)
	}
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+2 }, patience, 10*time.Millisecond)
}

// What will not change ends Work at once; what may change, when its context ends.
func TestWorkCannotBegin(t *testing.T) {
	old, _ := serve(t, func(*grpc.Server) {})
	_, err := workflows.NewDaprEngine(old, limits).Work(t.Context(), workflow.NewRegistry())
	require.Equal(t, codes.Unimplemented, status.Code(err), "%v", err)

	nobody, err := grpc.NewClient("127.0.0.1:1", grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, nobody.Close()) })
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err = workflows.NewDaprEngine(nobody, limits).Work(ctx, workflow.NewRegistry())
	require.ErrorIs(t, err, context.DeadlineExceeded)
}
