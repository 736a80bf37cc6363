package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/dapr/durabletask-go/workflow"

	"github.com/longrun-dev/longrun/internal/flow"
	"github.com/longrun-dev/longrun/internal/stream"
	"github.com/longrun-dev/longrun/workflows"
)

// runOn starts what runs commands on, and the bare workflows with it: one worker
// in this process, at the same sidecar.
func (h *hosting) runOn(ctx context.Context) error {
	conn := h.sidecar.Client().GrpcClientConn()
	log := slog.New(slog.DiscardHandler)
	h.bare = &bare{h.System, workflow.NewClient(conn)}
	engine := workflows.NewDaprEngine(conn, workflows.EngineConfig{Log: log})
	h.running = workflows.New(h.System, shared{engine, h.bare}, workflows.Config{Log: log})
	return h.running.Begin(ctx)
}

// ends are the events that end a command.
var ends = map[string]bool{
	flow.EventInvalidated: true, flow.EventCompleted: true, flow.EventCompletedWithFailures: true,
	flow.EventFailed: true, flow.EventCompensated: true, flow.EventCancelled: true,
}

// runCommand runs a command to its end, as its stream tells it, and says how long
// that took. The engine may be busy with it a little longer: see bare.ended.
func (h *hosting) runCommand(ctx context.Context, command, id string, params json.RawMessage) (time.Duration, error) {
	start := time.Now()
	_, err := h.running.Start(ctx, workflows.Start{
		Command: command, ID: id, Params: params, Context: stream.Context{Source: "bench", CorrelationID: id},
	})
	if err != nil {
		return 0, err
	}
	for e, err := range h.Follow(ctx, stream.ID{Type: flow.CommandType, Key: id}, 1) {
		switch {
		case err != nil:
			return 0, err
		case e.Event.Name == flow.EventCompleted:
			return time.Since(start), nil
		case ends[e.Event.Name]:
			return 0, fmt.Errorf("command %s ended with %s: %s", id, e.Event.Name, e.Event.Data)
		}
	}
	return 0, context.Cause(ctx)
}
