package estest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/flow"
)

// Run is one command of many steps, or one batch, in a World. The machine that
// takes its steps is the one of production, and only the I/O around it is not.
type Run struct {
	t      testing.TB
	world  *World
	def    *catalog.Command
	id     string
	state  *flow.State
	before []Hook
	driven bool
}

// Hook is something that happens in the middle of a command; Before makes it.
type Hook struct {
	step string
	do   func(*Run)
}

// Before does something just before each try of a step, or of an undoing, of
// that name: what happens to its entity then, the step's decision sees, and the
// steps before it did not.
func Before(step string, do func(*Run)) Hook { return Hook{step, do} }

// Run asks for a command or a batch, at the time of the clock, and takes its
// steps until it ends or waits for a signal or a time. The pauses between the
// tries of a step pass by themselves: the clock is later then. An Act is the
// author's own function, so a test gives its domain one that does not go
// outside.
func (w *World) Run(r Request, hooks ...Hook) *Run {
	w.t.Helper()
	w.runs++
	run := &Run{t: w.t, world: w, def: r.command, id: fmt.Sprintf("run-%d", w.runs), before: hooks}
	run.state = &flow.State{
		Progress: flow.Progress{ID: run.id},
		Caller:   flow.Caller{Who: w.who, CausationID: run.id},
	}
	data, _, ok, refused := w.asked(r)
	if !ok {
		return run
	}
	for _, h := range hooks {
		if s, undoes := run.named(h.step); s == nil && !undoes {
			w.t.Fatalf("%s has no step %q", r.command.Name, h.step)
		}
	}
	return run.start(data, nil, refused)
}

func (r *Run) start(params json.RawMessage, parent *flow.Parent, refused error) *Run {
	r.t.Helper()
	var invalid *catalog.Fault
	if refused != nil && !errors.As(refused, &invalid) {
		r.t.Fatalf("the check of %s failed: %v", r.def.Name, refused)
		return r
	}
	return r.instruct(func() ([]flow.Event, error) {
		return flow.Start(r.def, r.state, params, flow.Options{}, parent, invalid, r.world.now)
	}).goOn()
}

// Signal sends a signal; nil is no payload. One that is refused fails the test.
func (r *Run) Signal(name string, payload any) *Run {
	r.t.Helper()
	var data json.RawMessage
	if payload != nil {
		var err error
		if data, err = json.Marshal(payload); err != nil {
			r.t.Fatalf("payload of signal %q: %v", name, err)
			return r
		}
	}
	return r.instruct(func() ([]flow.Event, error) {
		return flow.Signal(r.def, r.state, name, data, r.world.now)
	}).goOn()
}

// RetryCompensation tries again to undo what could not be undone.
func (r *Run) RetryCompensation() *Run {
	r.t.Helper()
	return r.Signal(catalog.SignalRetryCompensation, nil)
}

// Cancel asks the command to end.
func (r *Run) Cancel() *Run {
	r.t.Helper()
	return r.instruct(func() ([]flow.Event, error) { return flow.Cancel(r.def, r.state, r.world.now) }).goOn()
}

// After moves the clock on, and does what is due by then.
func (r *Run) After(d time.Duration) *Run {
	r.t.Helper()
	r.world.At(r.world.now.Add(d))
	return r.goOn()
}

// most is how many things a command may do between two waits: one that does more
// does not end.
const most = 10_000

// goOn does what is to be done, until there is nothing without a signal or a
// time. Inside a hook it leaves that to who called the hook.
func (r *Run) goOn() *Run {
	r.t.Helper()
	if r.driven || r.state.Progress.Command == "" {
		return r
	}
	r.driven = true
	defer func() { r.driven = false }()
	for range most {
		switch a := flow.Next(r.def, r.state, r.world.now); a.Do {
		case flow.DoEnd:
			return r
		case flow.DoWait:
			if !r.pauses() {
				return r
			}
			r.world.now = a.Until.UTC()
		case flow.DoTick:
			r.instruct(func() ([]flow.Event, error) { return flow.Tick(r.def, r.state, r.world.now) })
		case flow.DoBatch:
			r.batch()
		default:
			report := r.try(a)
			r.instruct(func() ([]flow.Event, error) { return flow.Accept(r.def, r.state, report, r.world.now) })
		}
	}
	r.t.Fatalf("%s does not come to an end", r.def.Name)
	return r
}

// pauses says whether what the command waits for is its next try.
func (r *Run) pauses() bool {
	for _, try := range []*flow.Try{r.state.Undoing, r.state.Current} {
		if try != nil {
			return try.RetryAt != nil
		}
	}
	return false
}

// instruct has the command's stream decide, twice: its functions are pure. The
// events are stored and read back.
func (r *Run) instruct(decide func() ([]flow.Event, error)) *Run {
	r.t.Helper()
	events, err := decide()
	again, errAgain := decide()
	if first, second := shown(events, err), shown(again, errAgain); first != second {
		r.t.Errorf("%s is not made of pure functions: asked twice it answered\n%sthen\n%s", r.def.Name, first, second)
	}
	if err == nil {
		var next *flow.State
		if next, err = r.state.With(events, r.world.now); err == nil {
			r.state = next
		}
	}
	if err != nil {
		r.t.Fatalf("%s: %v", r.def.Name, err)
	}
	return r
}

// shown writes events of a command for people.
func shown(events []flow.Event, err error) string {
	if err != nil {
		return err.Error() + "\n"
	}
	var b bytes.Buffer
	for _, e := range events {
		data, err := json.Marshal(e.Data)
		if err != nil {
			data = []byte(err.Error())
		}
		fmt.Fprintf(&b, "  %s %s\n", e.Name, data)
	}
	return b.String()
}
