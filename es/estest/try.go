package estest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/flow"
)

// named is a step of that name, or whether one is undone under it.
func (r *Run) named(name string) (step *catalog.Step, undoes bool) {
	for _, s := range r.def.Steps {
		if s.Undo != nil && s.Undo.Name == name {
			return s, true
		}
	}
	return r.def.Step(name), false
}

// try tries a step, or its undoing, and reports.
func (r *Run) try(a flow.Action) flow.Report {
	r.t.Helper()
	step := r.def.Step(a.Try.Step)
	report := flow.Report{Step: a.Try.Step, Attempt: a.Try.Attempt, Undo: a.Do == flow.DoUndo, Settle: a.Do == flow.DoSettle}
	if report.Settle { // a decision that gave no answer here has appended nothing
		report.Status = flow.StatusSettled
		return report
	}
	name := step.Name
	if report.Undo {
		name = step.Undo.Name
	}
	for _, h := range r.before {
		if h.step == name {
			h.do(r)
		}
	}
	call, err := r.state.Call(r.def, r.world.now)
	if err == nil && report.Undo {
		report.Sequence, err = r.undo(step, call)
	} else if err == nil {
		report.Sequence, report.Result, err = r.take(step, call)
	}
	var f *catalog.Fault
	switch {
	case err == nil:
		report.Status = flow.StatusCompleted
	case errors.As(err, &f) && f.Code != catalog.Unavailable && f.Code != catalog.Internal:
		report.Status, report.Reason, report.Detail = flow.StatusRejected, cmp.Or(f.Reason, string(f.Code)), f.Detail
	default:
		report.Status, report.Detail = flow.StatusFailed, err.Error()
	}
	return report
}

func (r *Run) take(step *catalog.Step, call catalog.Call) (sequence uint64, result json.RawMessage, err error) {
	r.t.Helper()
	switch {
	case step.Decision != nil:
		return r.decide(step.Decision, call)
	case step.Look != nil:
		s := r.world.stream(step.Look.Entity, step.Look.Key(call.Params))
		s.read(func(reader catalog.Reader) { result, err = step.Look.Read(reader, call) })
		return uint64(len(s.log)), result, err
	default:
		result, err = r.effect(step, step.Name, call, step.Act)
		return 0, result, err
	}
}

func (r *Run) undo(step *catalog.Step, call catalog.Call) (sequence uint64, err error) {
	r.t.Helper()
	if d := step.Undo.Decision; d != nil {
		sequence, _, err = r.decide(d, call)
		return sequence, err
	}
	_, err = r.effect(step, step.Undo.Name, call, func(ctx context.Context, c catalog.Call) (json.RawMessage, error) {
		return nil, step.Undo.Act(ctx, c)
	})
	return 0, err
}

func (r *Run) effect(
	step *catalog.Step, name string, call catalog.Call, act func(context.Context, catalog.Call) (json.RawMessage, error),
) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(context.Background(), cmp.Or(step.Timeout, time.Minute))
	defer cancel()
	call.Key = r.id + "/" + name
	return act(ctx, call)
}

func (r *Run) decide(d *catalog.Decision, call catalog.Call) (sequence uint64, result json.RawMessage, err error) {
	r.t.Helper()
	s := r.world.stream(d.Entity, d.Key(call.Params))
	out, err := s.decide(d, call)
	for _, e := range out.Events {
		s.append(e, r.id)
	}
	return uint64(len(s.log)), out.Result, err
}
