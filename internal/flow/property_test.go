package flow_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/flow"
)

// sound checks what holds of every command at any time.
func sound(t require.TestingT, def *catalog.Command, s *flow.State, log []logged) {
	folded := &flow.State{Progress: flow.Progress{ID: s.Progress.ID}}
	for i, e := range log {
		require.NoError(t, folded.Apply(e.name, e.data, uint64(i)+1, e.at))
	}
	want, err := json.Marshal(folded)
	require.NoError(t, err)
	got, err := json.Marshal(s)
	require.NoError(t, err)
	require.JSONEq(t, string(want), string(got), "the events give another state")

	p := &s.Progress
	next := flow.Next(def, s, s.At)
	require.Equal(t, p.Ended(), next.Do == flow.DoEnd)
	require.Equal(t, p.Ended(), slices.Contains(ends, p.Status), "status %s", p.Status)
	require.False(t, s.Current != nil && s.Undoing != nil, "a step and an undoing at once")
	require.Equal(t, s.Stuck, p.Status == flow.StatusCompensationFailed)
	if items := p.Items; items != nil {
		require.Equal(t, items.Total, items.Succeeded+items.Failed+items.Pending)
	}
	for _, step := range def.Steps {
		if step.Undo == nil || p.Step(step.Name).Status != flow.StatusCompleted {
			continue
		}
		switch p.Status {
		case flow.StatusCompensated, flow.StatusCancelled, flow.StatusFailed:
			require.Fail(t, "a step is left done", "%s: the command is %s", step.Name, p.Status)
		case flow.StatusCompensationFailed:
			require.Contains(t, p.Error.Detail, step.Name, "a step that is to be undone is not named")
		}
	}
}

var ends = []string{
	flow.StatusCompleted, flow.StatusCompletedWithFailures, flow.StatusRejected, flow.StatusFailed,
	flow.StatusCompensated, flow.StatusCancelled, flow.StatusInvalid,
}

// Whatever is reported and asked, in whatever order, once or twice: a stream
// stays sound, and what has ended stays as it is.
func TestWhateverComesCommandsStaySound(t *testing.T) {
	t.Parallel()
	all := domain()
	var names []string
	for name := range all.Commands {
		names = append(names, name)
	}
	slices.Sort(names)
	rapid.Check(t, func(r *rapid.T) {
		p := &play{r: r, def: all.Commands[rapid.SampledFrom(names).Draw(r, "command")], now: noon}
		p.begin()
		for range rapid.IntRange(0, 60).Draw(r, "inputs") {
			p.now = p.now.Add(rapid.SampledFrom([]time.Duration{0, 0, time.Second, time.Hour, 24 * time.Hour}).Draw(r, "later"))
			p.input()
		}
		p.drive()
	})
}

// play gives one command random inputs.
type play struct {
	r     *rapid.T
	def   *catalog.Command
	state *flow.State
	now   time.Time
	log   []logged
	last  func() ([]flow.Event, error) // the input before, to come again
}

func (p *play) begin() {
	p.state = &flow.State{Progress: flow.Progress{ID: "c1"}}
	params := `{}`
	if p.def.Batch == nil {
		params = fmt.Sprintf(`{"size":%d,"gift":%t}`, rapid.SampledFrom([]int{5, 50, 500}).Draw(p.r, "size"), rapid.Bool().Draw(p.r, "gift"))
	}
	o := flow.Options{StopAfterFailures: rapid.IntRange(0, 3).Draw(p.r, "stop")}
	if rapid.Bool().Draw(p.r, "scheduled") {
		at := p.now.Add(time.Minute)
		o.StartAt = &at
	}
	p.take(flow.Start(p.def, p.state, json.RawMessage(params), o, nil, nil, p.now))
}

func (p *play) take(events []flow.Event, err error) {
	var f *catalog.Fault
	if err != nil && !errors.As(err, &f) {
		require.NoError(p.r, err)
	}
	if err != nil || len(events) == 0 {
		return
	}
	if p.state.Progress.Ended() {
		require.Equal(p.r, flow.EventRetryStarted, events[0].Name, "it had ended")
	}
	before, err := json.Marshal(p.state)
	require.NoError(p.r, err)
	next, err := p.state.With(events, p.now)
	require.NoError(p.r, err)
	after, err := json.Marshal(p.state)
	require.NoError(p.r, err)
	require.Equal(p.r, string(before), string(after), "the state that was decided on has changed")
	p.state = next
	for _, e := range events {
		data, err := json.Marshal(e.Data)
		require.NoError(p.r, err)
		p.log = append(p.log, logged{e.Name, data, p.now})
	}
	sound(p.r, p.def, p.state, p.log)
}

// input is a sensible one more often than not.
func (p *play) input() {
	kinds := []string{"do", "do", "do", "again", "cancel", "signal", "tick", "report"}
	if p.def.Batch != nil {
		kinds = []string{"members", "members", "items", "items", "again", "pause", "resume", "cancel", "finish", "retry", "tick", "report"}
	}
	kind := rapid.SampledFrom(kinds).Draw(p.r, "input")
	if kind == "again" && p.last != nil {
		p.take(p.last())
		return
	}
	p.last = p.drawn(kind)
	p.take(p.last())
}

func (p *play) drawn(kind string) func() ([]flow.Event, error) {
	switch kind {
	case "do":
		if a := flow.Next(p.def, p.state, p.now); a.Try.Step != "" {
			report := p.report(a)
			return func() ([]flow.Event, error) { return flow.Accept(p.def, p.state, report, p.now) }
		}
	case "report":
		report := flow.Report{
			Step: rapid.SampledFrom(append(p.steps(), "nowhere")).Draw(p.r, "step"), Attempt: rapid.IntRange(1, 3).Draw(p.r, "attempt"),
			Undo: rapid.Bool().Draw(p.r, "undo"), Settle: rapid.Bool().Draw(p.r, "settle"), Status: p.status("completed", "rejected", "failed"),
		}
		return func() ([]flow.Event, error) { return flow.Accept(p.def, p.state, report, p.now) }
	case "signal":
		signal := rapid.SampledFrom([]string{"approved", "answered", catalog.SignalRetryCompensation}).Draw(p.r, "signal")
		payload := map[string]json.RawMessage{"approved": json.RawMessage(`{"yes":true}`)}[signal]
		return func() ([]flow.Event, error) { return flow.Signal(p.def, p.state, signal, payload, p.now) }
	case "cancel":
		return func() ([]flow.Event, error) { return flow.Cancel(p.def, p.state, p.now) }
	case "pause":
		return func() ([]flow.Event, error) { return flow.Pause(p.def, p.state, p.now) }
	case "resume":
		return func() ([]flow.Event, error) { return flow.Resume(p.def, p.state, p.now) }
	case "finish":
		return func() ([]flow.Event, error) { return flow.Finish(p.def, p.state, p.now) }
	case "retry":
		return func() ([]flow.Event, error) { return flow.RetryFailed(p.def, p.state, p.now) }
	case "members":
		return p.members()
	case "items":
		return p.items()
	}
	return func() ([]flow.Event, error) { return flow.Tick(p.def, p.state, p.now) }
}

func (p *play) steps() []string {
	var names []string
	for _, s := range p.def.Steps {
		names = append(names, s.Name)
	}
	return names
}

func (p *play) status(of ...string) string { return rapid.SampledFrom(of).Draw(p.r, "status") }

func (p *play) report(a flow.Action) flow.Report {
	r := flow.Report{Step: a.Try.Step, Attempt: a.Try.Attempt, Undo: a.Do == flow.DoUndo, Settle: a.Do == flow.DoSettle}
	switch a.Do {
	case flow.DoSettle:
		r.Status = p.status("settled", "completed", "rejected", "failed")
	case flow.DoUndo:
		r.Status = p.status("completed", "failed", "rejected")
	default:
		r.Status = p.status("completed", "completed", "rejected", "failed")
	}
	return r
}

func (p *play) members() func() ([]flow.Event, error) {
	b := p.state.Batch
	if b == nil {
		sources := rapid.IntRange(1, 3).Draw(p.r, "sources")
		return func() ([]flow.Event, error) {
			return flow.FixGroup(p.def, p.state, flow.GroupFixed{Group: json.RawMessage(`{}`), AsOf: p.now, Sources: sources}, p.now)
		}
	}
	shard := rapid.IntRange(0, b.Sources-1).Draw(p.r, "shard")
	m := flow.Members{Round: b.Round, Shard: shard, From: b.Covered[shard], Last: rapid.Bool().Draw(p.r, "last")}
	for i := range rapid.IntRange(0, 3).Draw(p.r, "members") {
		m.Members = append(m.Members, flow.Member{Key: fmt.Sprint("k", i)})
	}
	if m.Round > 1 && b.Found+len(m.Members) > p.state.Progress.Items.Pending { // a round has no strangers
		m.Members = nil
	}
	m.To = m.From + uint64(len(m.Members))
	return func() ([]flow.Event, error) { return flow.AddMembers(p.def, p.state, m, p.now) }
}

func (p *play) items() func() ([]flow.Event, error) {
	e := flow.ItemsRecorded{Round: 1, Chunk: rapid.IntRange(-1, 4).Draw(p.r, "chunk")}
	if b := p.state.Batch; b != nil {
		e.Round = b.Round
	}
	for range rapid.IntRange(1, 4).Draw(p.r, "items") {
		e.Items = append(e.Items, flow.Item{Index: rapid.IntRange(-1, 3).Draw(p.r, "index"), Status: p.status("completed", "completed", "rejected")})
	}
	return func() ([]flow.Event, error) { return flow.RecordItems(p.def, p.state, e, p.now) }
}

// drive does what is to be done, and nothing fails any more: everything but a
// batch comes to an end, and nothing is left done of what did not complete.
func (p *play) drive() {
	for range 1000 {
		a := flow.Next(p.def, p.state, p.now)
		switch a.Do {
		case flow.DoEnd, flow.DoBatch:
			return
		case flow.DoTick:
			p.take(flow.Tick(p.def, p.state, p.now))
		case flow.DoWait:
			switch {
			case a.Until != nil:
				p.now = *a.Until
			case p.state.Stuck:
				p.take(flow.Signal(p.def, p.state, catalog.SignalRetryCompensation, nil, p.now))
			default: // paused
				return
			}
		default:
			r := flow.Report{Step: a.Try.Step, Attempt: a.Try.Attempt, Undo: a.Do == flow.DoUndo, Settle: a.Do == flow.DoSettle, Status: flow.StatusCompleted}
			p.take(flow.Accept(p.def, p.state, r, p.now))
		}
	}
	p.r.Fatalf("%s does not end: %+v", p.def.Name, p.state)
}
