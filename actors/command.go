package actors

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/flow"
	"github.com/longrun-dev/longrun/internal/stream"
)

const (
	instructCommand = "longrun.instruct"
	stateProjection = "state"
)

// The instructions to a command that runs on. Each is a decision on its stream:
// the first one wins, later ones are refused or dropped.
const (
	OpStart       = "start"        // Starting
	OpReport      = "report"       // flow.Report
	OpTick        = "tick"         // nothing
	OpSignal      = "signal"       // flow.Signalled
	OpCancel      = "cancel"       // nothing
	OpPause       = "pause"        // nothing
	OpResume      = "resume"       // nothing
	OpRetryFailed = "retry-failed" // nothing
	OpFixGroup    = "fix-group"    // flow.GroupFixed
	OpMembers     = "members"      // flow.Members
	OpItems       = "items"        // flow.ItemsRecorded
	OpFinish      = "finish"       // nothing
)

// Starting is what a command begins with.
type Starting struct {
	Command    string          `json:"command"`
	Parameters json.RawMessage `json:"parameters"`
	Options    flow.Options    `json:"options"`
	Parent     *flow.Parent    `json:"parent,omitempty"`
	Invalid    *catalog.Fault  `json:"invalid,omitempty"` // why it ends at once
}

// Instruction is one thing that a command's stream decides on.
type Instruction struct {
	ID      string // of the command
	Op      string
	Data    any // of the Op; nil if it has none
	Context stream.Context
	CauseAt time.Time
}

// instruction is an Instruction on its way.
type instruction struct {
	ID   string          `json:"id"`
	Op   string          `json:"op"`
	Data json.RawMessage `json:"data,omitempty"`
}

// Instruct has a command's stream decide, and answers with the state after it; of
// a batch, whose state is large, without its chunks.
func (s *System) Instruct(ctx context.Context, i Instruction) (*flow.State, error) {
	in := instruction{ID: i.ID, Op: i.Op}
	var err error
	if i.Data != nil {
		if in.Data, err = encode(i.Data); err != nil {
			return nil, faultOf(err)
		}
	}
	params, err := encode(in)
	if err != nil {
		return nil, faultOf(err)
	}
	answer, err := s.Do(ctx, Command{Name: instructCommand, ID: uuid.NewString(), Params: params, Context: i.Context, CauseAt: i.CauseAt})
	if err != nil {
		return nil, err
	}
	if len(answer.Result) == 0 { // it had come through already
		return s.CommandState(ctx, i.ID)
	}
	st := new(flow.State)
	if err := json.Unmarshal(answer.Result, st); err != nil {
		return nil, faultOf(fmt.Errorf("the state of command %q: %w", i.ID, err))
	}
	return st, nil
}

// CommandState is where a command that runs on stands, by its owner's word.
func (s *System) CommandState(ctx context.Context, id string) (*flow.State, error) {
	state, err := s.Project(ctx, commandStream(id), stateProjection, At{Strong: true})
	if err != nil {
		return nil, err
	}
	st := new(flow.State)
	if err := json.Unmarshal(state.State, st); err != nil {
		return nil, faultOf(fmt.Errorf("the state of command %q: %w", id, err))
	}
	return st, nil
}

// commandDomain defines command streams as an entity like any other. Which
// commands there are, the catalog says.
func commandDomain(all func() *catalog.Catalog) *catalog.Domain {
	entity := &catalog.Entity{Name: strings.TrimPrefix(flow.CommandType, catalog.Reserved+".")}
	for _, name := range flow.Known() {
		entity.Events = append(entity.Events, &catalog.Event{
			Name: name, Version: 1,
			Decode: func(_ int, data []byte) (any, error) { return &stored{name, data}, nil },
		})
	}
	handles := make([]bool, len(entity.Events))
	for i := range handles {
		handles[i] = true
	}
	state := &catalog.Projection{
		Name: stateProjection, Entity: entity, Version: 1, Handles: handles,
		New: func() catalog.Fold { return &commandFold{} },
	}
	command := &catalog.Command{
		Local: strings.TrimPrefix(instructCommand, catalog.Reserved+"."), Unrecorded: true, Transient: true,
		Decode: func(params []byte) (any, error) {
			p := new(instruction)
			return p, json.Unmarshal(params, p)
		},
		Steps: []*catalog.Step{{Name: "instruct", Decision: &catalog.Decision{
			Step: "instruct", Entity: entity, Needs: []*catalog.Projection{state},
			Key: func(params any) string { return params.(*instruction).ID },
			Decide: func(r catalog.Reader, c catalog.Call) (catalog.Outcome, error) {
				in := c.Params.(*instruction)
				return instructed(all(), r.Now(state).(*commandFold).of(in.ID), in, c)
			},
		}}},
	}
	return &catalog.Domain{
		Name: catalog.Reserved, Own: true,
		Entities: []*catalog.Entity{entity}, Projections: []*catalog.Projection{state}, Commands: []*catalog.Command{command},
	}
}

// instructed decides on an instruction.
func instructed(all *catalog.Catalog, st *flow.State, in *instruction, c catalog.Call) (catalog.Outcome, error) {
	var start Starting
	name := st.Progress.Command
	if in.Op == OpStart {
		if err := json.Unmarshal(in.Data, &start); err != nil {
			return catalog.Outcome{}, err
		}
		if name != "" {
			return startedBefore(st, start)
		}
		name = start.Command
	}
	if name == "" {
		return catalog.Outcome{}, catalog.Faultf(catalog.NotFound, "no command with id %q", in.ID)
	}
	def := all.Commands[name]
	if def == nil {
		return catalog.Outcome{}, catalog.Faultf(catalog.Unavailable, "command %s is not known here", name)
	}
	events, err := decideOn(def, st, in, &start, c)
	if err != nil {
		return catalog.Outcome{}, err
	}
	return decided(st, events, c.At)
}

func decideOn(def *catalog.Command, st *flow.State, in *instruction, start *Starting, c catalog.Call) ([]flow.Event, error) {
	switch in.Op {
	case OpStart:
		fresh := *st
		fresh.Caller = flow.Caller{
			Who: c.Who, Source: c.Source, Commentary: c.Commentary, CorrelationID: c.CorrelationID, CausationID: c.CausationID,
		}
		return flow.Start(def, &fresh, start.Parameters, start.Options, start.Parent, start.Invalid, c.At)
	case OpReport:
		return with(in.Data, func(r flow.Report) ([]flow.Event, error) { return flow.Accept(def, st, r, c.At) })
	case OpTick:
		return flow.Tick(def, st, c.At)
	case OpSignal:
		return with(in.Data, func(e flow.Signalled) ([]flow.Event, error) {
			return flow.Signal(def, st, e.Signal, e.Payload, c.At)
		})
	case OpCancel:
		return flow.Cancel(def, st, c.At)
	case OpPause:
		return flow.Pause(def, st, c.At)
	case OpResume:
		return flow.Resume(def, st, c.At)
	case OpRetryFailed:
		return flow.RetryFailed(def, st, c.At)
	case OpFixGroup:
		return with(in.Data, func(g flow.GroupFixed) ([]flow.Event, error) { return flow.FixGroup(def, st, g, c.At) })
	case OpMembers:
		return with(in.Data, func(e flow.Members) ([]flow.Event, error) { return flow.AddMembers(def, st, e, c.At) })
	case OpItems:
		return with(in.Data, func(e flow.ItemsRecorded) ([]flow.Event, error) { return flow.RecordItems(def, st, e, c.At) })
	case OpFinish:
		return flow.Finish(def, st, c.At)
	}
	return nil, fmt.Errorf("no instruction %q", in.Op)
}

func with[T any](data []byte, decide func(T) ([]flow.Event, error)) ([]flow.Event, error) {
	var t T
	if err := json.Unmarshal(data, &t); err != nil {
		return nil, err
	}
	return decide(t)
}

// startedBefore answers for an id that came again.
func startedBefore(st *flow.State, start Starting) (catalog.Outcome, error) {
	// Both are written anew: what is stored has escapes that what came may not have.
	before, errBefore := json.Marshal(asked(st.Progress.Command, st.Progress.Parameters, st.Options, st.Parent))
	now, errNow := json.Marshal(asked(start.Command, start.Parameters, start.Options, start.Parent))
	if errBefore != nil || errNow != nil || !bytes.Equal(before, now) {
		return catalog.Outcome{}, conflictingID(st.Progress.ID)
	}
	return decided(st, nil, st.At)
}

// asked is what was asked for under an id. An item is its batch's: where it stands
// there changes from round to round.
func asked(command string, params json.RawMessage, o flow.Options, parent *flow.Parent) Starting {
	s := Starting{Command: command, Parameters: params, Options: o}
	if parent != nil {
		s.Parent = &flow.Parent{Batch: parent.Batch, Key: parent.Key, Try: parent.Try}
	}
	return s
}

// decided is the outcome of a decision on a command's stream: the events, and
// the state after them.
func decided(st *flow.State, events []flow.Event, at time.Time) (catalog.Outcome, error) {
	out := catalog.Outcome{}
	after, err := st.With(events, at)
	if err != nil {
		return out, err
	}
	for _, e := range events {
		out.Events = append(out.Events, instructedEvent{e})
	}
	if after.Batch != nil {
		after.Batch.Chunks, after.Batch.Left = nil, nil
	}
	if out.Result, err = encode(after); len(out.Result) > maxStateAnswer {
		out.Result = nil // Instruct reads it
	}
	return out, err
}

// maxStateAnswer is how large a state may be that comes as the answer to an
// instruction: what is larger must not keep the instruction from being taken.
const maxStateAnswer = 256 << 10

// instructedEvent names itself for the catalog.
type instructedEvent struct{ flow.Event }

// StoredAs is the event's name.
func (e instructedEvent) StoredAs() string { return e.Name }

// MarshalJSON writes the event's data.
func (e instructedEvent) MarshalJSON() ([]byte, error) { return encode(e.Data) }

// stored is an event of a command stream as it was read.
type stored struct {
	name string
	data []byte
}

// commandFold folds a command stream.
type commandFold struct{ state *flow.State }

func (f *commandFold) of(id string) *flow.State {
	if f.state == nil {
		f.state = &flow.State{}
	}
	f.state.Progress.ID = id
	return f.state
}

func (f *commandFold) Apply(_ int, event any, meta *catalog.Meta) {
	st, e := f.of(meta.Key), event.(*stored)
	if st.Sequence == 0 {
		st.Caller = flow.Caller{
			Who: meta.Who, Source: meta.Source, Commentary: meta.Commentary,
			CorrelationID: meta.CorrelationID, CausationID: meta.CausationID,
		}
	}
	if err := st.Apply(e.name, e.data, meta.Sequence, meta.At); err != nil {
		panic(err)
	}
}

func (f *commandFold) Marshal() (json.RawMessage, error) {
	if f.state == nil {
		return encode(flow.State{})
	}
	return encode(f.state)
}

func (f *commandFold) Unmarshal(state []byte) error {
	st := new(flow.State)
	f.state = st
	return json.Unmarshal(state, st)
}

// firstRow is what the journal says of a command whose stream begins.
func firstRow(e *entity) row {
	for _, f := range e.folds {
		if c, ok := f.(*commandFold); ok {
			p := &c.of(e.id.Key).Progress
			return row{ID: e.id.Key, Command: p.Command, Status: p.Status}
		}
	}
	return row{ID: e.id.Key}
}

// longrunsOwn says whether streams of a type are not entities of a domain, whose
// keys are in the index.
func longrunsOwn(entityType string) bool {
	return strings.HasPrefix(entityType, catalog.Reserved+".")
}

// Claim makes this process an owner of a command's stream, whoever else is one:
// who drives a command is nearly the only one that writes its stream, and calls
// through the sidecar would take longer than the steps. The fence is what keeps
// two owners apart; an owner by placement that others reach meanwhile costs one
// reopening for each time that both write. Without the short way it does nothing.
func (s *System) Claim(id string) {
	if !s.shortWay {
		return
	}
	key := commandStream(id)
	s.host.claim(key, s.catalog.Entities[key.Type])
}

// Unclaim drops a command that has ended from memory.
func (s *System) Unclaim(id string) {
	if s.shortWay {
		s.host.deactivate(commandStream(id))
	}
}
