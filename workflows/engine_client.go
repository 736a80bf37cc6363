package workflows

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/dapr/durabletask-go/api"
	"github.com/dapr/durabletask-go/api/protos"
	"github.com/dapr/durabletask-go/workflow"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// engine is an engine behind a connection: a sidecar's, or the embedded one in
// this process. Both speak the same protocol, and differ in what they answer to
// what cannot be; so nothing here depends on an error's text.
type engine struct {
	conn   grpc.ClientConnInterface
	cfg    EngineConfig
	client *workflow.Client

	mu      sync.Mutex
	working bool
}

var _ Engine = (*engine)(nil)

// NewDaprEngine is the workflow engine of the sidecar at the other end of conn,
// which stays the caller's. The instances belong to the sidecar's app id.
func NewDaprEngine(conn grpc.ClientConnInterface, cfg EngineConfig) Engine {
	return newEngine(conn, cfg.withDefaults())
}

func newEngine(conn grpc.ClientConnInterface, cfg EngineConfig) *engine {
	return &engine{conn: conn, cfg: cfg, client: workflow.NewClientWithLogger(conn, chatter{cfg.Log})}
}

func (e *engine) Schedule(ctx context.Context, name, instance string, input any) error {
	if n := len(instance); n == 0 || n > MaxInstance {
		return fmt.Errorf("workflow %s: an instance id of %d bytes, and 1 to %d can be", name, n, MaxInstance)
	}
	ctx, cancel := withDeadline(ctx, e.cfg.CallTimeout)
	defer cancel()
	_, err := e.client.ScheduleWorkflow(ctx, name,
		workflow.WithInstanceID(instance),
		workflow.WithInput(input),
		// With a time the engine answers as soon as the instance is stored, else it
		// waits until somebody works on it.
		workflow.WithStartTime(time.Now()))
	switch {
	case status.Code(err) == codes.AlreadyExists:
		return fmt.Errorf("workflow %s, %s: %w", name, instance, ErrExists)
	case err != nil:
		return fmt.Errorf("workflow %s, %s: %w", name, instance, err)
	}
	return nil
}

func (e *engine) Raise(ctx context.Context, instance, event string) error {
	ctx, cancel := withDeadline(ctx, e.cfg.CallTimeout)
	defer cancel()
	return e.whileActive(ctx, instance, "event "+event, func() error { return e.client.RaiseEvent(ctx, instance, event) })
}

func (e *engine) Terminate(ctx context.Context, instance string) error {
	ctx, cancel := withDeadline(ctx, e.cfg.CallTimeout)
	defer cancel()
	return e.whileActive(ctx, instance, "terminate", func() error { return e.client.TerminateWorkflow(ctx, instance) })
}

// whileActive calls something that only an active instance takes. The engines
// swallow events for one that has ended, and say without a code that there is
// none, so its state is asked.
func (e *engine) whileActive(ctx context.Context, instance, what string, call func() error) error {
	if s, err := e.State(ctx, instance); err != nil {
		return err
	} else if s.Status.Ended() {
		return fmt.Errorf("workflow instance %s has ended: %w", instance, ErrNotFound)
	}
	err := call()
	if err == nil {
		return nil
	}
	if s, again := e.State(ctx, instance); errors.Is(again, ErrNotFound) || again == nil && s.Status.Ended() {
		return fmt.Errorf("workflow instance %s, %s: %w", instance, what, ErrNotFound)
	}
	return fmt.Errorf("workflow instance %s, %s: %w", instance, what, err)
}

func (e *engine) Purge(ctx context.Context, instance string) error {
	ctx, cancel := withDeadline(ctx, e.cfg.CallTimeout)
	defer cancel()
	switch s, err := e.State(ctx, instance); {
	case err != nil:
		return err
	case !s.Status.Ended():
		return fmt.Errorf("workflow instance %s, purge: %w", instance, ErrExists)
	}
	err := e.client.PurgeWorkflowState(ctx, instance)
	if err == nil {
		return nil
	}
	switch s, again := e.State(ctx, instance); {
	case errors.Is(again, ErrNotFound):
		return again
	case again == nil && !s.Status.Ended():
		return fmt.Errorf("workflow instance %s, purge: %w", instance, ErrExists)
	}
	return fmt.Errorf("workflow instance %s, purge: %w", instance, err)
}

func (e *engine) State(ctx context.Context, instance string) (State, error) {
	ctx, cancel := withDeadline(ctx, e.cfg.CallTimeout)
	defer cancel()
	meta, err := e.client.FetchWorkflowMetadata(ctx, instance, workflow.WithFetchPayloads(true))
	switch {
	case errors.Is(err, api.ErrInstanceNotFound):
		return State{}, fmt.Errorf("workflow instance %s: %w", instance, ErrNotFound)
	case err != nil:
		return State{}, fmt.Errorf("workflow instance %s: %w", instance, err)
	}
	return State{
		Name:    meta.Name,
		Status:  statusOf(meta.RuntimeStatus),
		Output:  meta.Output.GetValue(),
		Failure: meta.FailureDetails.GetErrorMessage(),
		Created: meta.CreatedAt.AsTime(),
		Updated: meta.LastUpdatedAt.AsTime(),
	}, nil
}

func (e *engine) History(ctx context.Context, instance string) ([]Recorded, error) {
	ctx, cancel := withDeadline(ctx, e.cfg.CallTimeout)
	defer cancel()
	if _, err := e.State(ctx, instance); err != nil {
		return nil, err
	}
	h, err := e.client.GetInstanceHistory(ctx, instance)
	if err != nil {
		return nil, fmt.Errorf("workflow instance %s, history: %w", instance, err)
	}
	recorded := make([]Recorded, len(h.Events))
	for i, event := range h.Events {
		recorded[i] = Recorded{Event: eventWord(event), Name: eventName(event), At: event.GetTimestamp().AsTime()}
	}
	return recorded, nil
}

// eventWord is the name of the event's kind in the protocol.
func eventWord(e *protos.HistoryEvent) string {
	return strings.TrimPrefix(fmt.Sprintf("%T", e.GetEventType()), "*protos.HistoryEvent_")
}

func eventName(e *protos.HistoryEvent) string {
	switch k := e.GetEventType().(type) {
	case *protos.HistoryEvent_ExecutionStarted:
		return k.ExecutionStarted.GetName()
	case *protos.HistoryEvent_TaskScheduled:
		return k.TaskScheduled.GetName()
	case *protos.HistoryEvent_ChildWorkflowInstanceCreated:
		return k.ChildWorkflowInstanceCreated.GetName()
	case *protos.HistoryEvent_EventRaised:
		return k.EventRaised.GetName()
	case *protos.HistoryEvent_TimerCreated:
		return k.TimerCreated.GetName()
	}
	return ""
}

// withDeadline gives ctx a deadline if it has none.
func withDeadline(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, d)
}
