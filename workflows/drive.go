package workflows

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/flow"
)

const (
	driveTime  = 20 * time.Second // after which a drive comes back to the engine, between two steps
	shortWait  = 2 * time.Second  // a wait up to this is waited for without the engine
	actTimeout = time.Minute
	idlePause  = 50 * time.Millisecond // until a clock that is behind says that it is time
)

// driveInput names a command.
type driveInput struct {
	ID string `json:"id"`
}

// driven is how far a drive came. The engine keeps it as the activity's result:
// what the command did is in its stream.
type driven struct {
	Status   string     `json:"status"`
	Sequence uint64     `json:"sequence"` // of the command's stream
	Ended    bool       `json:"ended,omitempty"`
	Until    *time.Time `json:"until,omitempty"` // nothing to do before
	Again    bool       `json:"again,omitempty"` // there is more to do at once

	Item *flow.Item `json:"item,omitempty"` // of an item that has ended
}

// drive takes the steps of a command until it has ended, has to wait, or time is
// up. It may run more than once, and twice at the same time: the stream takes
// the first report on each try and drops the others.
func (c *Commands) drive(ctx context.Context, id string) (driven, *flow.State, error) {
	c.system.Claim(id)
	st, err := c.system.CommandState(ctx, id)
	if err != nil {
		return driven{}, nil, err
	}
	return c.driveOn(ctx, st)
}

func (c *Commands) driveOn(ctx context.Context, st *flow.State) (driven, *flow.State, error) {
	id, until := st.Progress.ID, c.now().Add(driveTime)
	for {
		def := c.system.Catalog().Commands[st.Progress.Command]
		if def == nil {
			return driven{}, st, catalog.Faultf(catalog.Unavailable, "command %s is not known here", st.Progress.Command)
		}
		now := c.now()
		action := flow.Next(def, st, now)
		d := driven{Status: st.Progress.Status, Sequence: st.Sequence, Until: action.Until}
		in := actors.Instruction{ID: id, Context: contextOf(st), CauseAt: st.At}
		switch action.Do {
		case flow.DoEnd:
			c.system.Unclaim(id)
			d.Ended = true
			return d, st, nil
		case flow.DoBatch:
			return d, st, fmt.Errorf("command %q is a batch", id)
		case flow.DoWait:
			if st.Stuck {
				c.log.Warn("a compensation was given up: the command waits for the signal retry-compensation",
					"command", st.Progress.Command, "id", id, "error", st.Progress.Error)
			}
			if action.Until == nil || action.Until.Sub(now) > shortWait {
				return d, st, nil
			}
			if err := pause(ctx, action.Until.Sub(now)); err != nil {
				return d, st, err
			}
			in.Op = actors.OpTick
		case flow.DoTick:
			in.Op = actors.OpTick
		default:
			if now.After(until) {
				d.Again = true
				return d, st, nil
			}
			in.Op, in.Data = actors.OpReport, c.try(ctx, def, st, action)
		}
		if err := ctx.Err(); err != nil {
			return d, st, err
		}
		before := st.Sequence
		next, err := c.system.Instruct(ctx, in)
		if err != nil {
			return d, st, err
		}
		if st = next; st.Sequence == before && in.Op == actors.OpTick {
			if now.After(until) { // this clock is far ahead of the stream's
				d.Again = true
				return d, st, nil
			}
			if err := pause(ctx, idlePause); err != nil {
				return d, st, err
			}
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// try does what is to be done, once, and tells what it came to.
func (c *Commands) try(ctx context.Context, def *catalog.Command, st *flow.State, a flow.Action) flow.Report {
	r := flow.Report{Step: a.Try.Step, Attempt: a.Try.Attempt, Undo: a.Do == flow.DoUndo, Settle: a.Do == flow.DoSettle}
	step := def.Step(a.Try.Step)
	if step == nil {
		r.Status, r.Detail = flow.StatusFailed, "this release does not know the step"
		return r
	}
	var err error
	switch {
	case r.Undo && step.Undo.Act != nil:
		_, err = c.effect(ctx, def, st, step.Undo.Name, step.Timeout, func(ctx context.Context, k catalog.Call) (json.RawMessage, error) {
			return nil, step.Undo.Act(ctx, k)
		})
	case r.Undo:
		err = c.decide(ctx, st, step.Undo.Name, a.Try, &r)
	case step.Decision != nil:
		err = c.decide(ctx, st, step.Name, a.Try, &r)
	case step.Look != nil:
		err = c.look(ctx, st, step.Name, &r)
	case step.Act != nil:
		r.Result, err = c.effect(ctx, def, st, step.Name, step.Timeout, step.Act)
		if err == nil && len(r.Result)+st.SizeOfResults() > flow.MaxResults { // it has happened: it is given up, and undone
			err = errors.New(flow.TooMuch(step.Name).Detail)
		}
	default:
		err = fmt.Errorf("step %q is not one to try", step.Name)
	}
	var f *catalog.Fault
	switch {
	case err == nil:
		r.Status = cmp.Or(r.Status, flow.StatusCompleted)
	case r.Settle && errors.As(err, &f) && final(f):
		r.Status = flow.StatusSettled // it was refused, so it has not happened
	case errors.As(err, &f) && final(f):
		r.Status, r.Reason, r.Detail = flow.StatusRejected, cmp.Or(f.Reason, string(f.Code)), catalog.Brief(f.Detail)
	default:
		r.Status, r.Detail = flow.StatusFailed, catalog.Brief(err.Error())
	}
	if r.Status != flow.StatusCompleted {
		r.Result = nil
	}
	return r
}

// final says whether a fault is an answer: what comes again gets the same.
func final(f *catalog.Fault) bool {
	return f.Code != catalog.Unavailable && f.Code != catalog.Internal
}

// part is a step of a command as its entity gets it.
func part(st *flow.State, step string, since time.Time) (actors.Command, error) {
	p := actors.Command{
		Name: st.Progress.Command, ID: st.Progress.ID, Params: st.Progress.Parameters, Step: step,
		Context: contextOf(st), CauseAt: since,
	}
	if len(st.Results) > 0 {
		results, err := json.Marshal(st.Results)
		if err != nil {
			return p, err
		}
		p.Results = results
	}
	return p, nil
}

func (c *Commands) decide(ctx context.Context, st *flow.State, name string, t flow.Try, r *flow.Report) error {
	p, err := part(st, name, t.Since)
	if err != nil {
		return err
	}
	if p.Settle = r.Settle; r.Settle {
		p.Results = nil // nothing is decided
	}
	answer, err := c.system.Do(ctx, p)
	if err != nil {
		return err
	}
	r.Sequence, r.Result = answer.Sequence, answer.Result
	if answer.Status == actors.StatusSettled {
		r.Status = flow.StatusSettled
	}
	return nil
}

func (c *Commands) look(ctx context.Context, st *flow.State, name string, r *flow.Report) error {
	p, err := part(st, name, time.Time{})
	if err != nil {
		return err
	}
	state, err := c.system.Look(ctx, p)
	if err == nil && len(p.Results)+len(state.State) > flow.MaxResults {
		err = flow.TooMuch(name)
	}
	r.Result, r.Sequence = state.State, state.Sequence
	return err
}

// effect runs an author's function that has an effect outside.
func (c *Commands) effect(
	ctx context.Context, def *catalog.Command, st *flow.State, name string, timeout time.Duration,
	act func(context.Context, catalog.Call) (json.RawMessage, error),
) (result json.RawMessage, err error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(timeout, actTimeout))
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			c.log.Error("a step panicked", "command", st.Progress.Command, "id", st.Progress.ID, "step", name, "panic", p, "stack", string(debug.Stack()))
			err = errors.New("the step's code failed")
		}
	}()
	call, err := st.Call(def, c.now().UTC())
	if err != nil {
		return nil, err
	}
	call.Key = st.Progress.ID + "/" + name
	return act(ctx, call)
}

// itemOf is the outcome of an item that is a command of its own, at an index of
// its chunk.
func itemOf(st *flow.State, index int) flow.Item {
	item := flow.Item{Index: index, Key: st.Parent.Key, Try: st.Parent.Try, Status: st.Progress.Status, Attempts: st.Parent.Try + 1}
	if f := st.Progress.Error; f != nil {
		item.Reason, item.Detail = cmp.Or(f.Reason, string(f.Code)), f.Detail
	}
	return item
}
