package app

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/longrun-dev/longrun/internal/catalog"
)

// connectTo connects to a sidecar at an address.
func connectTo(ctx context.Context, t *testing.T, addr string) error {
	t.Helper()
	t.Setenv("DAPR_GRPC_ENDPOINT", addr)
	cfg, err := ConfigFrom(func(string) string { return "" })
	require.NoError(t, err)
	domains := []*catalog.Domain{testDomain().Catalog()}
	system, stop, err := connect(cfg, nil, domains, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))(ctx)
	require.Nil(t, system)
	require.Nil(t, stop, "what was opened is closed")
	return err
}

// sidecar is a gRPC server that knows nothing of Dapr.
func sidecar(t *testing.T, options ...grpc.ServerOption) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server, ended := grpc.NewServer(options...), make(chan error)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Stop()
		require.NoError(t, <-ended)
	})
	return l.Addr().String()
}

// A sidecar that is not there is waited for, as long as the caller waits.
func TestConnectWithoutASidecar(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	absent := l.Addr().String()
	require.NoError(t, l.Close())
	said := "sidecar at " + absent + " does not answer"

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err = connectTo(ctx, t, absent)
	require.ErrorContains(t, err, said)
	require.ErrorIs(t, ctx.Err(), context.DeadlineExceeded, "not before")

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorContains(t, connectTo(cancelled, t, absent), said)
}

// What will not change is not waited for.
func TestConnectToWhatCannotServe(t *testing.T) {
	other := sidecar(t)
	require.ErrorContains(t, connectTo(t.Context(), t, other), "sidecar at "+other+" does not answer")

	empty := sidecar(t, grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error { // every answer is that it has nothing
		if err := s.RecvMsg(&emptypb.Empty{}); err != nil {
			return err
		}
		return s.SendMsg(&emptypb.Empty{})
	}))
	require.ErrorContains(t, connectTo(t.Context(), t, empty), `the sidecar has no component "statestore"`)

	require.ErrorContains(t, connectTo(t.Context(), t, "gopher://nowhere:1"), "gopher")
}
