package app

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"

	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/flow"
	"github.com/longrun-dev/longrun/internal/stream"
)

// action is something that can be asked of a command while it runs, or of a batch
// that has ended.
type action struct {
	name, summary string
	do            func(Runner, context.Context, string, string, stream.Context) (flow.Progress, error)
}

var actions = []action{
	{"cancel", "Cancels a command: nothing new begins, and what was done is undone", Runner.Cancel},
	{"pause", "Lets no new item of a batch begin", Runner.Pause},
	{"resume", "Goes on with a batch that was paused", Runner.Resume},
	{"retry-failed", "Runs the failed items of a batch that has ended again", Runner.RetryFailed},
}

// act is the handler of an action.
func (s *Server) act(do action) func(http.ResponseWriter, *request) error {
	return func(w http.ResponseWriter, r *request) error {
		return s.ask(w, r, func(runner Runner, command, id string, c stream.Context) (flow.Progress, error) {
			return do.do(runner, r.Context(), command, id, c)
		})
	}
}

// signal sends a command a signal; the body is its payload.
func (s *Server) signal(w http.ResponseWriter, r *request) error {
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	var payload json.RawMessage
	if def := s.catalog.Commands[r.path("command")]; def != nil {
		if payload, err = s.payload(def.Signal(r.path("name")), body); err != nil {
			return err
		}
	}
	return s.ask(w, r, func(runner Runner, command, id string, c stream.Context) (flow.Progress, error) {
		return runner.Signal(r.Context(), command, id, r.path("name"), payload, c)
	})
}

// payload checks a signal's payload; wait is nil if the command does not declare
// the signal, and then it need only be JSON.
func (s *Server) payload(wait *catalog.Wait, body []byte) (json.RawMessage, error) {
	check := s.signals[wait]
	if len(bytes.TrimSpace(body)) == 0 && (check == nil || check.none) {
		return nil, nil
	}
	if check != nil {
		return check.check(body)
	}
	tree, err := parseJSON(body)
	if err != nil {
		return nil, err
	}
	return encodeJSON(tree)
}

// ask asks something of a command and answers 202 with what it is then. A direct
// command that was not to start later has ended: its stream is not asked again.
func (s *Server) ask(w http.ResponseWriter, r *request, do func(r Runner, command, id string, c stream.Context) (flow.Progress, error)) error {
	var f faults
	_, given := commandHeaders(r.Header, &f)
	if err := f.err(); err != nil {
		return err
	}
	system, id, err := s.commandID(r)
	if err != nil {
		return err
	}
	command := r.path("command")
	if s.catalog.Commands[command].Direct() != nil {
		progress, err := system.Progress(r.Context(), command, id, nil)
		if err != nil {
			return err
		}
		if progress.Ended() {
			return catalog.Faultf(catalog.Conflict, "the command has ended: it is %s", progress.Status)
		}
	}
	progress, err := do(system.RunsOn(), command, id, given)
	if err != nil {
		return err
	}
	return writeAccepted(w, progress)
}

// failure is what became of an item that failed.
type failure struct {
	Key      string `json:"key"`
	Reason   string `json:"reason" doc:"of a rejection: the domain's own code"`
	Detail   string `json:"detail"`
	Attempts int    `json:"attempts"`
}

// failures lists the failed items of a batch.
func (s *Server) failures(w http.ResponseWriter, r *request) error {
	cursor, limit := r.query.text("cursor"), r.query.limit()
	if err := r.query.err(); err != nil {
		return err
	}
	system, id, err := s.commandID(r)
	if err != nil {
		return err
	}
	command := r.path("command")
	if s.catalog.Commands[command].Batch == nil {
		if _, err := system.Progress(r.Context(), command, id, nil); err != nil {
			return err
		}
		return catalog.Faultf(catalog.Conflict, "command %s is no batch: its failure is in its progress", command)
	}
	items, next, err := system.RunsOn().Failures(r.Context(), command, id, cursor, limit)
	if err != nil {
		return err
	}
	failed := make([]failure, len(items))
	for i, item := range items {
		failed[i] = failure{item.Key, item.Reason, item.Detail, item.Attempts}
	}
	return writeJSON(w, newPage(failed, next))
}
