package actors

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	pb "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/protobuf/types/known/durationpb"
)

// streamMargin is what a message of the stream may hold beside the payload of a
// call. A message above the limit would end the stream, and with it every call
// in flight.
const streamMargin = 64 << 10

// streamHost hosts actors over the actor event stream: this process calls the
// sidecar, subscribes with its actor types, and answers the calls that arrive
// on the stream, each in its own goroutine.
//
// It is not the SDK's SubscribeActorEvents, which ends for ever, and silently,
// when a stream ends with code Canceled, says nothing when it is lost, ends the
// process when a handler panics, and drops answers when it is closed.
type streamHost struct {
	conn    *grpc.ClientConn
	api     pb.DaprClient
	cfg     SidecarConfig
	handler Handler
	calls   gate
	cancel  context.CancelFunc // ends everything at once
	ended   chan struct{}      // closed when run has returned

	mu   sync.Mutex
	live *actorStream // nil while there is none
}

// startStreamHost returns after the first subscription. It tries again until ctx
// ends, unless the sidecar's answer will not change.
func startStreamHost(ctx context.Context, conn *grpc.ClientConn, cfg SidecarConfig, handler Handler) (*streamHost, error) {
	h := &streamHost{conn: conn, api: pb.NewDaprClient(conn), cfg: cfg, handler: handler, ended: make(chan struct{})}
	var running context.Context
	running, h.cancel = context.WithCancel(context.WithoutCancel(ctx))
	subscribe := func() (*actorStream, error) {
		s, err := h.subscribe(running, ctx)
		if err != nil && !passing(err) {
			err = backoff.Permanent(err)
		}
		return s, err
	}
	s, err := backoff.Retry(ctx, subscribe, backoff.WithBackOff(newBackOff()), backoff.WithMaxElapsedTime(0))
	if err != nil {
		h.cancel()
		return nil, err
	}
	h.live = s
	go h.run(running, s)
	return h, nil
}

func (h *streamHost) up() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.live != nil
}

func (h *streamHost) setLive(s *actorStream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.live = s
}

// renew ends the stream, so that run subscribes again.
func (h *streamHost) renew() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.live != nil {
		h.live.cancel()
	}
}

func (h *streamHost) stop(ctx context.Context) error {
	defer func() {
		h.cancel()
		<-h.ended
	}()
	select {
	case <-h.calls.close():
	case <-ctx.Done():
		return fmt.Errorf("actor calls are still in flight: %w", context.Cause(ctx))
	}
	h.mu.Lock()
	live := h.live
	h.mu.Unlock()
	if live == nil {
		return nil
	}
	live.closeSend()
	return h.awaitUnregistered(ctx)
}

// awaitUnregistered returns once the sidecar has read the end of the stream, and
// so every answer before it; cancelling the stream earlier could overtake them.
// The sidecar does not end the stream by itself then: it first tells each actor
// on that same stream to deactivate, which it can only give up when the stream is
// cancelled. What shows is that it has forgotten the actor types.
func (h *streamHost) awaitUnregistered(ctx context.Context) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	types := h.handler.Types()
	for {
		meta, err := h.api.GetMetadata(ctx, &pb.GetMetadataRequest{})
		if err != nil {
			return fmt.Errorf("the sidecar did not confirm the end of hosting: %w", err)
		}
		hosts := func(a *pb.ActiveActorsCount) bool { return slices.Contains(types, a.GetType()) }
		if !slices.ContainsFunc(meta.GetActorRuntime().GetActiveActors(), hosts) {
			return nil
		}
		select {
		case <-h.ended:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("the sidecar did not confirm the end of hosting: %w", context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// run serves the stream and subscribes again whenever it is lost, however it
// ended, until the host is stopped.
func (h *streamHost) run(ctx context.Context, s *actorStream) {
	defer close(h.ended)
	pause := newBackOff()
	for {
		began := time.Now()
		err := h.serve(s)
		h.setLive(nil)
		s.cancel() // calls of this stream can no longer be answered
		if ctx.Err() != nil || h.calls.closed() {
			return
		}
		h.cfg.Log.Warn("the actor stream was lost, subscribing again", "error", err)
		h.handler.Lost()
		if time.Since(began) > pause.MaxInterval {
			pause.Reset()
		}
		if s = h.subscribeAgain(ctx, pause); s == nil {
			return
		}
		h.cfg.Log.Info("the actor stream is back")
		h.setLive(s)
	}
}

// subscribeAgain tries until it succeeds, or returns nil when ctx ends.
func (h *streamHost) subscribeAgain(ctx context.Context, pause *backoff.ExponentialBackOff) *actorStream {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause.NextBackOff()):
		}
		s, err := h.subscribe(ctx, ctx)
		if err == nil {
			return s
		}
		h.cfg.Log.Debug("subscribing to actor calls failed", "error", err)
	}
}

// subscribe opens a stream that lives as long as ctx. The sidecar must confirm it
// before the end of waiting.
func (h *streamHost) subscribe(ctx, waiting context.Context) (s *actorStream, err error) {
	ctx, cancel := context.WithCancel(ctx)
	overdue := context.AfterFunc(waiting, cancel)
	defer func() {
		if err != nil {
			overdue() // waiting may last as long as the host
			cancel()
		}
	}()
	stream, err := h.api.SubscribeActorEventsAlpha1(ctx, grpc.WaitForReady(true),
		grpc.MaxCallRecvMsgSize(maxMessage+streamMargin))
	if err != nil {
		return nil, err
	}
	drain := true
	if err := stream.Send(&pb.SubscribeActorEventsRequestAlpha1{
		RequestType: &pb.SubscribeActorEventsRequestAlpha1_InitialRequest{
			InitialRequest: &pb.SubscribeActorEventsRequestInitialAlpha1{
				Entities:                h.handler.Types(),
				ActorIdleTimeout:        durationpb.New(h.cfg.IdleTimeout),
				DrainOngoingCallTimeout: durationpb.New(h.cfg.DrainTimeout),
				DrainRebalancedActors:   &drain,
				Reentrancy:              &pb.ActorReentrancyConfig{Enabled: false},
			},
		},
	}); err != nil {
		// The reason is what the stream ended with: Recv knows it.
		if _, reason := stream.Recv(); reason != nil {
			err = reason
		}
		return nil, err
	}
	first, err := stream.Recv()
	if err != nil {
		return nil, err
	}
	if first.GetInitialResponse() == nil {
		return nil, fmt.Errorf("the sidecar answered the subscription with %T", first.GetResponseType())
	}
	if !overdue() {
		return nil, context.Cause(waiting)
	}
	go giveUpWithConnection(ctx, h.conn, cancel)
	return &actorStream{stream: stream, cancel: cancel}, nil
}

// giveUpWithConnection cancels a stream when its connection goes. A sidecar that
// is told to stop closes the connection for new calls, no longer sends on the
// stream, and waits: for actors that it could not tell to deactivate and messages
// that are not answered, until the stream is cancelled.
func giveUpWithConnection(ctx context.Context, conn *grpc.ClientConn, cancel context.CancelFunc) {
	if conn.WaitForStateChange(ctx, connectivity.Ready) {
		cancel()
	}
}

// serve answers what arrives on the stream until it ends.
func (h *streamHost) serve(s *actorStream) error {
	for {
		msg, err := s.stream.Recv()
		if err != nil {
			return err
		}
		go h.callback(s, msg)
	}
}

// callback handles one message of the sidecar's and answers it.
func (h *streamHost) callback(s *actorStream, msg *pb.SubscribeActorEventsResponseAlpha1) {
	switch m := msg.GetResponseType().(type) {
	case *pb.SubscribeActorEventsResponseAlpha1_InvokeRequest:
		h.invoke(s, m.InvokeRequest)
	case *pb.SubscribeActorEventsResponseAlpha1_DeactivateRequest:
		h.deactivate(s, m.DeactivateRequest)
	case *pb.SubscribeActorEventsResponseAlpha1_ReminderRequest:
		h.send(s, failed(m.ReminderRequest.GetId(), codes.NotFound, errNoReminders))
	case *pb.SubscribeActorEventsResponseAlpha1_TimerRequest:
		h.send(s, failed(m.TimerRequest.GetId(), codes.NotFound, errNoReminders))
	default:
		h.cfg.Log.Warn("unknown message on the actor stream", "type", fmt.Sprintf("%T", m))
	}
}

var (
	errStopping    = errors.New("the actor host is stopping")
	errNoReminders = errors.New("no actor here has reminders or timers")
)

func (h *streamHost) invoke(s *actorStream, m *pb.SubscribeActorEventsResponseInvokeRequestAlpha1) {
	if !h.calls.enter() {
		h.send(s, failed(m.GetId(), codes.Unavailable, errStopping))
		return
	}
	defer h.calls.leave()
	answer, err := protect(h.cfg.Log, m.GetActorType()+"/"+m.GetMethod(), func() ([]byte, error) {
		return h.handler.Invoke(s.stream.Context(), m.GetActorType(), m.GetActorId(), m.GetMethod(), m.GetData())
	})
	switch {
	case err != nil:
		h.send(s, failed(m.GetId(), codes.Internal, err))
	case len(answer) > maxMessage-streamMargin:
		h.send(s, failed(m.GetId(), codes.ResourceExhausted, fmt.Errorf("the answer of %d bytes is too large", len(answer))))
	default:
		h.send(s, &pb.SubscribeActorEventsRequestAlpha1{
			RequestType: &pb.SubscribeActorEventsRequestAlpha1_InvokeResponse{
				InvokeResponse: &pb.SubscribeActorEventsRequestInvokeResponseAlpha1{Id: m.GetId(), Data: answer},
			},
		})
	}
}

func (h *streamHost) deactivate(s *actorStream, m *pb.SubscribeActorEventsResponseDeactivateRequestAlpha1) {
	if !h.calls.enter() {
		h.send(s, failed(m.GetId(), codes.Unavailable, errStopping))
		return
	}
	defer h.calls.leave()
	_, err := protect(h.cfg.Log, m.GetActorType()+" deactivate", func() ([]byte, error) {
		h.handler.Deactivate(s.stream.Context(), m.GetActorType(), m.GetActorId())
		return nil, nil
	})
	if err != nil {
		h.send(s, failed(m.GetId(), codes.Internal, err))
		return
	}
	h.send(s, &pb.SubscribeActorEventsRequestAlpha1{
		RequestType: &pb.SubscribeActorEventsRequestAlpha1_DeactivateResponse{
			DeactivateResponse: &pb.SubscribeActorEventsRequestDeactivateResponseAlpha1{Id: m.GetId()},
		},
	})
}

// failed is the answer to a callback that could not be handled. The sidecar does
// not try again after NotFound.
func failed(id string, code codes.Code, err error) *pb.SubscribeActorEventsRequestAlpha1 {
	return &pb.SubscribeActorEventsRequestAlpha1{
		RequestType: &pb.SubscribeActorEventsRequestAlpha1_RequestFailed{
			RequestFailed: &pb.SubscribeActorEventsRequestFailedAlpha1{Id: id, Code: uint32(code), Message: err.Error()},
		},
	}
}

// send answers on the stream that asked: ids mean nothing on another one. If it
// is gone the sidecar has already failed the call.
func (h *streamHost) send(s *actorStream, msg *pb.SubscribeActorEventsRequestAlpha1) {
	if err := s.send(msg); err != nil {
		h.cfg.Log.Debug("an answer on the actor stream was not sent", "error", err)
	}
}

// actorStream is one stream to the sidecar. gRPC allows one sender at a time.
type actorStream struct {
	stream pb.Dapr_SubscribeActorEventsAlpha1Client
	cancel context.CancelFunc
	mu     sync.Mutex
}

func (s *actorStream) send(msg *pb.SubscribeActorEventsRequestAlpha1) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stream.Send(msg)
}

func (s *actorStream) closeSend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.stream.CloseSend() // always nil
}
