package actors

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	pb "github.com/dapr/dapr/pkg/proto/runtime/v1"
	dapr "github.com/dapr/go-sdk/client"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Handler is what both ways of hosting call. It is safe for concurrent use.
type Handler interface {
	// Types are the actor types hosted here.
	Types() []string
	// Invoke runs one actor call and returns its answer; payload and answer are opaque. An error is a fault of the transport only.
	Invoke(ctx context.Context, actorType, actorID, method string, payload []byte) ([]byte, error)
	// Deactivate is told that the sidecar let go of an actor.
	Deactivate(ctx context.Context, actorType, actorID string)
	// Lost is told that the sidecar was lost: every actor may have moved.
	Lost()
}

// Invoker calls an actor wherever it lives, through the sidecar.
type Invoker interface {
	Invoke(ctx context.Context, actorType, actorID, method string, payload []byte) ([]byte, error)
}

// Sidecar is the connection to this process's Dapr sidecar. It is safe for
// concurrent use. When the sidecar goes away it connects again by itself; calls
// meanwhile fail at once with code Unavailable.
type Sidecar struct {
	cfg  SidecarConfig
	conn *grpc.ClientConn
	sdk  dapr.Client
	api  pb.DaprClient

	stall stall

	mu   sync.Mutex
	host hosting // nil while nothing is hosted
}

var _ Invoker = (*Sidecar)(nil)

// Component is what the sidecar says of one of its components.
type Component struct {
	Name         string
	Type         string // e.g. "state.sqlite"
	Version      string // e.g. "v1"
	Capabilities []string
}

// Connect returns once the sidecar answers. It waits for a sidecar that is still
// starting, until cfg.StartTimeout or the end of ctx; what a sidecar answers
// that will not change, such as a refused token, ends the wait at once.
func Connect(ctx context.Context, cfg SidecarConfig) (*Sidecar, error) {
	cfg = cfg.withDefaults()
	conn, err := dial(cfg)
	if err != nil {
		return nil, fmt.Errorf("sidecar at %s: %w", cfg.Endpoint, err)
	}
	s := &Sidecar{cfg: cfg, conn: conn, sdk: dapr.NewClientWithConnection(conn), stall: stall{after: cfg.StallTimeout}}
	s.api = s.sdk.GrpcClient()

	ctx, cancel := context.WithTimeout(ctx, cfg.StartTimeout)
	defer cancel()
	if err := s.await(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("sidecar at %s does not answer: %w", cfg.Endpoint, err), conn.Close())
	}
	return s, nil
}

// await asks the sidecar until it answers. Its error is the last answer.
func (s *Sidecar) await(ctx context.Context) (last error) {
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		_, last = s.api.GetMetadata(ctx, &pb.GetMetadataRequest{}, grpc.WaitForReady(true))
		if last != nil && !passing(last) {
			return struct{}{}, backoff.Permanent(last)
		}
		return struct{}{}, last
	}, backoff.WithBackOff(newBackOff()), backoff.WithMaxElapsedTime(0))
	if err != nil && last == nil {
		last = err // ctx had ended before the first attempt
	}
	return last
}

// Client is the SDK's client on the same connection, for everything that is not
// actors and state: publishing, subscriptions, bindings, workflows.
func (s *Sidecar) Client() dapr.Client { return s.sdk }

// Close ends the connection. Hosting must have been stopped before.
func (s *Sidecar) Close() error { return s.conn.Close() }

// Invoke calls an actor. Every error is one of the transport: whether the call
// ran is unknown. A call without a deadline gets cfg.CallTimeout.
func (s *Sidecar) Invoke(ctx context.Context, actorType, actorID, method string, payload []byte) ([]byte, error) {
	ctx, cancel := withDeadline(ctx, s.cfg.CallTimeout)
	defer cancel()
	began := time.Now()
	answer, err := s.api.InvokeActor(ctx, &pb.InvokeActorRequest{
		ActorType: actorType,
		ActorId:   actorID,
		Method:    method,
		Data:      payload,
	})
	if s.stall.saw(began, err) {
		s.renew()
	}
	if err != nil {
		return nil, fmt.Errorf("actor %s/%s, %s: %w", actorType, actorID, method, err)
	}
	return answer.GetData(), nil
}

// renew makes this process a new host of its actor types (see stall).
func (s *Sidecar) renew() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.host != nil {
		s.cfg.Log.Warn("no actor call comes through, hosting anew", "for", s.cfg.StallTimeout)
		s.host.renew()
	}
}

// Conn is the connection itself, for what else the sidecar serves: its workflows.
// It is closed with the sidecar.
func (s *Sidecar) Conn() grpc.ClientConnInterface { return s.conn }

// Version is the version of the sidecar's runtime, such as "1.18.3", or "edge"
// for one that was built without a version.
func (s *Sidecar) Version(ctx context.Context) (string, error) {
	meta, err := s.metadata(ctx)
	if err != nil {
		return "", err
	}
	return meta.GetRuntimeVersion(), nil
}

// ErrNoComponent is that the sidecar answers, and has no component of a name.
var ErrNoComponent = errors.New("the sidecar has no component")

// Component describes a component that the sidecar has loaded. It is
// ErrNoComponent if it has none of that name.
func (s *Sidecar) Component(ctx context.Context, name string) (Component, error) {
	meta, err := s.metadata(ctx)
	if err != nil {
		return Component{}, err
	}
	for _, c := range meta.GetRegisteredComponents() {
		if c.GetName() == name {
			return Component{c.GetName(), c.GetType(), c.GetVersion(), c.GetCapabilities()}, nil
		}
	}
	return Component{}, fmt.Errorf("%w %q", ErrNoComponent, name)
}

// Healthy is nil if the sidecar answers and, once Host was called, calls for the
// actors hosted here can arrive. Its error says what is missing.
func (s *Sidecar) Healthy(ctx context.Context) error {
	meta, err := s.metadata(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	host := s.host
	s.mu.Unlock()
	switch runtime := meta.GetActorRuntime(); {
	case host == nil:
		return nil
	case !host.up():
		return errors.New("the sidecar is not connected to the actors hosted here")
	case !runtime.GetHostReady():
		return fmt.Errorf("the sidecar cannot host actors yet: %s, %s", runtime.GetRuntimeStatus(), runtime.GetPlacement())
	}
	return nil
}

func (s *Sidecar) metadata(ctx context.Context) (*pb.GetMetadataResponse, error) {
	ctx, cancel := withDeadline(ctx, s.cfg.CallTimeout)
	defer cancel()
	meta, err := s.api.GetMetadata(ctx, &pb.GetMetadataRequest{})
	if err != nil {
		return nil, fmt.Errorf("sidecar: %w", err)
	}
	return meta, nil
}

// passing says whether an error of a sidecar may go away by itself, because the
// sidecar is starting, stopping or busy.
func passing(err error) bool {
	switch status.Code(err) {
	case codes.Unauthenticated, codes.PermissionDenied, codes.Unimplemented, codes.InvalidArgument, codes.FailedPrecondition:
		return false
	}
	return true
}

// newBackOff is the pause between attempts to reach a sidecar: it is mostly on
// this machine, so it is short. It never gives up.
func newBackOff() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval = 50 * time.Millisecond
	b.MaxInterval = 2 * time.Second
	return b
}

// withDeadline gives ctx a deadline if it has none.
func withDeadline(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, d)
}
