package actors

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// However a stream ends, the handler is told and the host subscribes again. Code
// Canceled and a plain end are what a sidecar that stops may send; a real one is
// in tests/hosting_test.go.
func TestStreamEnds(t *testing.T) {
	for name, end := range map[string]error{
		"plain":       nil,
		"canceled":    status.Error(codes.Canceled, "stopping"),
		"unavailable": status.Error(codes.Unavailable, "gone"),
		"refused":     status.Error(codes.FailedPrecondition, "not now"),
	} {
		t.Run(name, func(t *testing.T) {
			dapr, sidecar := fakeSidecar(t)
			handler := &fakeHandler{}
			stop, err := sidecar.Host(t.Context(), HostStream, handler)
			require.NoError(t, err)
			dapr.next(t)
			require.NoError(t, sidecar.Healthy(t.Context()))
			dapr.end <- end
			again := dapr.next(t)
			require.EqualValues(t, 1, handler.lost.Load())
			require.Equal(t, "answer", again.call(t, "m"))
			require.NoError(t, stop(t.Context()))
			require.EqualValues(t, 1, handler.lost.Load(), "stopping is no loss")
		})
	}
}

// What a sidecar asks for that no actor here does is answered, not left open.
func TestStreamAnswersEverything(t *testing.T) {
	dapr, sidecar := fakeSidecar(t)
	stop, err := sidecar.Host(t.Context(), HostStream, &fakeHandler{})
	require.NoError(t, err)
	s := dapr.next(t)
	require.ErrorContains(t, s.fault(t, "fail"), "on purpose")
	require.ErrorContains(t, s.fault(t, "panic"), "on purpose")
	require.ErrorContains(t, s.fault(t, "large"), "too large")

	answer := s.roundTrip(t, &pb.SubscribeActorEventsResponseAlpha1{
		ResponseType: &pb.SubscribeActorEventsResponseAlpha1_ReminderRequest{
			ReminderRequest: &pb.SubscribeActorEventsResponseReminderRequestAlpha1{Id: "r", ActorType: "fake", Name: "x"},
		},
	})
	require.EqualValues(t, codes.NotFound, answer.GetRequestFailed().GetCode())
	answer = s.roundTrip(t, &pb.SubscribeActorEventsResponseAlpha1{
		ResponseType: &pb.SubscribeActorEventsResponseAlpha1_DeactivateRequest{
			DeactivateRequest: &pb.SubscribeActorEventsResponseDeactivateRequestAlpha1{Id: "d", ActorType: "fake", ActorId: "a"},
		},
	})
	require.Equal(t, "d", answer.GetDeactivateResponse().GetId())
	require.NoError(t, stop(t.Context()))
}

// A sidecar that will never take the stream ends Host at once; one that may is
// asked until the caller gives up.
func TestStreamRefused(t *testing.T) {
	dapr, sidecar := fakeSidecar(t)
	dapr.refuse.Store(int32(codes.FailedPrecondition))
	_, err := sidecar.Host(t.Context(), HostStream, &fakeHandler{})
	require.Equal(t, codes.FailedPrecondition, status.Code(err))

	dapr.refuse.Store(int32(codes.Unavailable))
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err = sidecar.Host(ctx, HostStream, &fakeHandler{})
	require.Error(t, err)

	dapr.refuse.Store(0)
	stop, err := sidecar.Host(t.Context(), HostStream, &fakeHandler{})
	require.NoError(t, err, "a failed attempt leaves nothing behind")
	_, err = sidecar.Host(t.Context(), HostStream, &fakeHandler{})
	require.ErrorContains(t, err, "already")
	require.NoError(t, stop(t.Context()))
	require.NoError(t, stop(t.Context()), "stopping again does nothing")
}

// A call that does not end cannot hold up a stop for longer than its context.
func TestStreamStopGivesUp(t *testing.T) {
	dapr, sidecar := fakeSidecar(t)
	stop, err := sidecar.Host(t.Context(), HostStream, &fakeHandler{})
	require.NoError(t, err)
	s := dapr.next(t)
	s.send(t, invocation("hang"))
	require.Equal(t, "answer", s.call(t, "m"), "it does not hold up other calls")
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- stop(ctx) }()
	cancel()
	require.ErrorIs(t, <-stopped, context.Canceled)
}

// A sidecar that lets no actor call through is given up as a host and taken
// again: a change of hosts is what frees it.
func TestStreamIsRenewedWhenNoCallComesThrough(t *testing.T) {
	dapr, sidecar := fakeSidecar(t)
	sidecar.stall.after = 100 * time.Millisecond
	handler := &fakeHandler{}
	stop, err := sidecar.Host(t.Context(), HostStream, handler)
	require.NoError(t, err)
	dapr.next(t)
	invoke := func(method string) error {
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
		defer cancel()
		_, err := sidecar.Invoke(ctx, "fake", "a", method, nil)
		return err
	}
	for range 3 {
		require.Equal(t, codes.DeadlineExceeded, status.Code(invoke("hang")))
		require.NoError(t, invoke("m"), "one that comes through is enough")
	}
	require.Zero(t, handler.lost.Load())
	for range 2 {
		require.Equal(t, codes.DeadlineExceeded, status.Code(invoke("hang")))
	}
	require.Equal(t, "answer", dapr.next(t).call(t, "m"))
	require.EqualValues(t, 1, handler.lost.Load())
	require.NoError(t, stop(t.Context()))
}

// fakeHandler has one actor type.
type fakeHandler struct{ lost atomic.Int32 }

func (*fakeHandler) Types() []string { return []string{"fake"} }

func (*fakeHandler) Invoke(ctx context.Context, _, _, method string, _ []byte) ([]byte, error) {
	switch method {
	case "fail":
		return nil, errors.New("on purpose")
	case "panic":
		panic("on purpose")
	case "large":
		return make([]byte, maxMessage), nil
	case "hang":
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return []byte("answer"), nil
}

func (*fakeHandler) Deactivate(context.Context, string, string) {}

func (h *fakeHandler) Lost() { h.lost.Add(1) }

// fakeDapr is the sidecar's side of the actor event stream, to end it in every
// way there is.
type fakeDapr struct {
	pb.UnimplementedDaprServer
	streams chan *fakeStream // as they are subscribed
	end     chan error       // ends the one that is open
	refuse  atomic.Int32     // code that a subscription is refused with

	mu     sync.Mutex
	hosted []*pb.ActiveActorsCount
}

func fakeSidecar(t *testing.T) (*fakeDapr, *Sidecar) {
	t.Helper()
	dapr := &fakeDapr{streams: make(chan *fakeStream, 1), end: make(chan error)}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer()
	pb.RegisterDaprServer(server, dapr)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	sidecar, err := Connect(t.Context(), SidecarConfig{Endpoint: listener.Addr().String()})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, sidecar.Close())
		server.Stop()
		require.NoError(t, <-served)
	})
	return dapr, sidecar
}

// next waits for a subscription.
func (d *fakeDapr) next(t *testing.T) *fakeStream {
	t.Helper()
	select {
	case s := <-d.streams:
		return s
	case <-time.After(10 * time.Second):
		require.FailNow(t, "nobody subscribes")
		return nil
	}
}

func (d *fakeDapr) GetMetadata(context.Context, *pb.GetMetadataRequest) (*pb.GetMetadataResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &pb.GetMetadataResponse{
		RuntimeVersion: "1.18.3",
		ActorRuntime:   &pb.ActorRuntime{HostReady: true, ActiveActors: d.hosted},
	}, nil
}

// InvokeActor answers, unless it is to hang.
func (d *fakeDapr) InvokeActor(ctx context.Context, r *pb.InvokeActorRequest) (*pb.InvokeActorResponse, error) {
	if r.GetMethod() == "hang" {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return &pb.InvokeActorResponse{}, nil
}

func (d *fakeDapr) SubscribeActorEventsAlpha1(stream pb.Dapr_SubscribeActorEventsAlpha1Server) error {
	if code := codes.Code(d.refuse.Load()); code != codes.OK {
		return status.Error(code, "refused")
	}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	d.host(first.GetInitialRequest().GetEntities()...)
	defer d.host()
	if err := stream.Send(&pb.SubscribeActorEventsResponseAlpha1{
		ResponseType: &pb.SubscribeActorEventsResponseAlpha1_InitialResponse{},
	}); err != nil {
		return err
	}
	s := &fakeStream{stream, make(chan *pb.SubscribeActorEventsRequestAlpha1)}
	read := make(chan error, 1)
	go func() { read <- s.read() }()
	d.streams <- s
	select {
	case err := <-d.end:
		return err
	case err := <-read:
		return err
	}
}

func (d *fakeDapr) host(types ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hosted = nil
	for _, name := range types {
		d.hosted = append(d.hosted, &pb.ActiveActorsCount{Type: name})
	}
}

type fakeStream struct {
	pb.Dapr_SubscribeActorEventsAlpha1Server
	answers chan *pb.SubscribeActorEventsRequestAlpha1
}

func (s *fakeStream) read() error {
	for {
		msg, err := s.Recv()
		if err != nil {
			return err
		}
		select {
		case s.answers <- msg:
		case <-s.Context().Done():
			return s.Context().Err()
		}
	}
}

func (s *fakeStream) send(t *testing.T, msg *pb.SubscribeActorEventsResponseAlpha1) {
	t.Helper()
	require.NoError(t, s.Send(msg))
}

func (s *fakeStream) roundTrip(t *testing.T, msg *pb.SubscribeActorEventsResponseAlpha1) *pb.SubscribeActorEventsRequestAlpha1 {
	t.Helper()
	s.send(t, msg)
	return <-s.answers
}

func (s *fakeStream) call(t *testing.T, method string) string {
	t.Helper()
	return string(s.roundTrip(t, invocation(method)).GetInvokeResponse().GetData())
}

func (s *fakeStream) fault(t *testing.T, method string) error {
	t.Helper()
	return errors.New(s.roundTrip(t, invocation(method)).GetRequestFailed().GetMessage())
}

func invocation(method string) *pb.SubscribeActorEventsResponseAlpha1 {
	return &pb.SubscribeActorEventsResponseAlpha1{
		ResponseType: &pb.SubscribeActorEventsResponseAlpha1_InvokeRequest{
			InvokeRequest: &pb.SubscribeActorEventsResponseInvokeRequestAlpha1{Id: method, ActorType: "fake", ActorId: "a", Method: method},
		},
	}
}
