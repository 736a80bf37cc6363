package actors

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/google/uuid"

	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/flow"
	"github.com/longrun-dev/longrun/internal/stream"
)

// maxSkew is how far ahead of this clock a commit's cause or predecessor may be.
const maxSkew = 60 * time.Second

// maxTurn is how many bytes a turn gathers before it makes the next command wait,
// maxCommand how many one command writes at most: together they fit in a flush.
const (
	maxTurn    = stream.MaxBatch / 6
	maxCommand = stream.MaxBatch - maxTurn
)

// call is one command on its way through a turn.
type call struct {
	Command
	def      *catalog.Command
	decision *catalog.Decision
	params   any
	results  map[string]json.RawMessage
	appendID string
	hash     [16]byte

	past    map[pastKey]catalog.Fold // loaded for es.Past, outside the turn
	missing []pastKey                // asked for by the last decision, not loaded

	answered bool // for good: by what is stored, not by this turn
	answer   Answer
	fault    *catalog.Fault
}

type pastKey struct {
	p  *catalog.Projection
	at time.Time
}

// newCall checks what an actor must be able to rely on; the call is answered if
// that fails.
func (s *System) newCall(c Command) *call {
	k := &call{Command: c, def: s.catalog.Commands[c.Name]}
	if k.def == nil {
		return k.refuse(catalog.Faultf(catalog.NotFound, "no command %q", c.Name))
	}
	if len(c.Params) > stream.MaxAppend {
		return k.refuse(catalog.Faultf(catalog.TooLarge, "%d bytes of parameters, the limit is %d", len(c.Params), stream.MaxAppend))
	}
	if c.Step == "" {
		k.decision = k.def.Direct()
	} else {
		k.decision = k.def.Decision(c.Step)
	}
	if k.decision == nil {
		return k.refuse(catalog.Faultf(catalog.NotFound, "no decision %q of command %q", c.Step, c.Name))
	}
	d := k.decision
	var invalid error
	key, err := guard(func() (string, error) {
		if k.params, invalid = k.def.Decode(c.Params); invalid == nil && len(c.Results) > 0 {
			invalid = json.Unmarshal(c.Results, &k.results)
		}
		if invalid != nil {
			return "", nil //nolint:nilerr // the caller's mistake, answered below
		}
		return d.Key(k.params), nil
	})
	switch {
	case err != nil:
		s.log.Error("decoding parameters failed", "command", c.Name, "id", c.ID, "error", err)
		return k.refuse(catalog.Faultf(catalog.Internal, "the parameters of %s could not be decoded", c.Name))
	case invalid != nil:
		return k.refuse(catalog.Faultf(catalog.Invalid, "parameters of %s: %v", c.Name, invalid))
	}
	k.appendID, k.hash = c.ID+"/"+d.Step, hashOf(c)
	k.answer = Answer{ID: c.ID, Command: c.Name, Status: flow.StatusCompleted, Entity: d.Entity.Type, Key: key}
	return k
}

// size is what the command takes in its own stream, in its store key, or on the
// way to its entity, in bytes, generously and without a result.
func (k *call) size() int {
	a := stream.Append{ID: k.ID, Context: k.Context}
	return 512 + 7*len(k.ID) + len(k.Params) + len(k.Results) + a.Size()
}

// hashOf tells a repeat of a command from another use of its id.
func hashOf(c Command) [16]byte {
	h := sha256.New()
	h.Write([]byte(c.Name))
	h.Write([]byte{0})
	h.Write(c.Params)
	return [16]byte(h.Sum(nil)[:16])
}

func (k *call) refuse(f *catalog.Fault) *call {
	k.fault, k.answered = f, true
	return k
}

// turn is what one turn of an entity came to before it is committed.
type turn struct {
	now     time.Time // by the clock
	at      time.Time // of the commit
	appends []stream.Append
	bytes   int
	decided []*call        // in order; their answers hold if the turn is committed
	records []record       // command streams to write
	last    uint64         // sequence after the appends
	folds   []catalog.Fold // the entity's, with the appends applied
	spoilt  bool           // a fold panicked: what is in memory holds half an append
}

// record is the first commit of one command's stream.
type record struct {
	call  *call
	entry stream.Entry
	row   row
}

// run decides and commits calls to one entity, in order, answering each. The
// caller holds the entity open (host.acquire), not its turn.
func (s *System) run(ctx context.Context, e *entity, calls []*call) {
	if e.id.Type != indexType { // which Begin needs
		select {
		case <-s.begun:
		case <-ctx.Done():
			refuseAll(calls, catalog.Faultf(catalog.Unavailable, "the host of %s is starting", e.id))
			return
		}
	}
	for len(calls) > 0 {
		if missing := calls[0].missing; len(missing) > 0 {
			if err := s.loadPast(ctx, e.id, e.def, calls[0]); err != nil {
				calls[0].refuse(faultOf(err))
			}
		}
		if err := e.lock(ctx); err != nil {
			refuseAll(calls, catalog.Faultf(catalog.Unavailable, "%s is busy", e.id))
			return
		}
		calls = s.runTurn(ctx, e, calls)
		e.unlock()
	}
}

// runTurn is one turn: it decides until what it decided is committed, and
// returns the calls that must wait for another turn.
func (s *System) runTurn(ctx context.Context, e *entity, calls []*call) (rest []*call) {
	for {
		var needs []*catalog.Projection
		open := calls[:0:0]
		for _, k := range calls {
			if !k.answered {
				open = append(open, k)
				needs = append(needs, k.decision.Needs...)
			}
		}
		calls = open
		if len(calls) == 0 {
			return nil
		}
		if ctx.Err() != nil {
			refuseAll(calls, catalog.Faultf(catalog.Unavailable, "%s: out of time", e.id))
			return nil
		}
		if err := e.ensure(ctx, s, needs); err != nil {
			e.drop()
			refuseAll(calls, faultOf(err))
			return nil
		}
		t, rest := s.decide(ctx, e, calls)
		if t.spoilt {
			e.drop()
			continue
		}
		again, err := s.commit(ctx, e, t)
		switch {
		case err != nil:
			e.drop()
			refuseAll(calls[:len(calls)-len(rest)], faultOf(err))
			for _, k := range rest {
				k.missing = nil // asked for beside appends that are not there
			}
			return rest
		case again:
			s.metrics.fenced.Inc()
			continue
		}
		for _, k := range t.decided {
			k.answered = true
		}
		return rest
	}
}

// decide runs the decisions of calls in order on the entity's folds, until one
// must wait for another turn: for a past that is not loaded, for the commit of
// another one with its id, or for room.
func (s *System) decide(ctx context.Context, e *entity, calls []*call) (t *turn, rest []*call) {
	now := s.now()
	t = &turn{now: now, at: stamp(now, e.tail.At), last: e.tail.Last, folds: e.folds}
	for _, k := range calls {
		if k.CauseAt.Sub(now) <= maxSkew {
			t.at = stamp(t.at, k.CauseAt)
		}
	}
	if ahead := e.tail.At.Sub(now); ahead > maxSkew {
		s.metrics.clockAlarms.Inc()
		s.log.Error("the last commit is ahead of this clock", "stream", e.id, "by", ahead)
	}
	for i, k := range calls {
		if k.answered {
			continue
		}
		if t.holds(k.ID) || t.bytes > maxTurn {
			return t, calls[i:]
		}
		k.fault, k.answer.Status, k.answer.Result = nil, flow.StatusCompleted, nil
		r, err := s.recallAppend(ctx, e, k)
		if err != nil {
			k.refuse(faultOf(err))
			continue
		}
		if r != nil {
			s.repeat(ctx, e, k, r)
			continue
		}
		if k.Settle {
			if k.fault = t.ahead(k); k.fault == nil {
				s.settle(e, t, k)
			}
			t.decided = append(t.decided, k)
			continue
		}
		out, f := s.ask(e, t, k)
		if len(k.missing) > 0 {
			return t, calls[i:]
		}
		t.bytes += k.size()
		switch {
		case f == nil && k.Dry:
			k.answer.Result, k.answer.Sequence = out.Result, t.last
		case f == nil:
			if f, err = guard(func() (*catalog.Fault, error) { return s.take(e, t, k, out), nil }); err != nil {
				s.log.Error("a fold failed", "command", k.Name, "id", k.ID, "stream", e.id, "error", err)
				k.refuse(catalog.Faultf(catalog.Internal, "a projection of %s failed", e.id.Type))
				t.spoilt = true
				return t, nil
			}
		}
		k.fault = f
		if f != nil && f.Code == catalog.Rejected {
			k.answer.Status = flow.StatusRejected
		}
		if f != nil && k.closes(f) {
			s.close(e, t, k, f)
		}
		t.decided = append(t.decided, k)
	}
	return t, nil
}

// holds says whether the turn decided a command of that id already: its stream
// and its append can be written once.
func (t *turn) holds(commandID string) bool {
	for _, k := range t.decided {
		if k.ID == commandID {
			return true
		}
	}
	return false
}

// ahead refuses a command whose cause is too far ahead of this clock: its commit
// would be older than its cause, and whoever looks back to that would miss it.
func (t *turn) ahead(k *call) *catalog.Fault {
	if k.CauseAt.Sub(t.now) <= maxSkew {
		return nil
	}
	return catalog.Faultf(catalog.Unavailable, "the cause's time %s is ahead of this clock", k.CauseAt.Format(time.RFC3339))
}

// ask checks the preconditions and runs the decision.
func (s *System) ask(e *entity, t *turn, k *call) (catalog.Outcome, *catalog.Fault) {
	d := k.decision
	k.missing = nil
	switch {
	case e.unknown != "":
		return catalog.Outcome{}, catalog.Faultf(catalog.Unavailable, "%s holds an event of a newer release: %s", e.id, e.unknown)
	case t.ahead(k) != nil:
		return catalog.Outcome{}, t.ahead(k)
	case k.Expected != nil && *k.Expected != t.last:
		return catalog.Outcome{}, catalog.Faultf(catalog.Conflict, "%s is at sequence %d, not %d", e.id, t.last, *k.Expected)
	case d.MustBeNew && t.last > 0:
		return catalog.Outcome{}, catalog.Faultf(catalog.Conflict, "%s exists already", e.id)
	case d.MustExist && t.last == 0:
		return catalog.Outcome{}, catalog.Faultf(catalog.Conflict, "%s does not exist", e.id)
	}
	r := &turnReader{folds: t.folds, tail: e.tail.At, born: e.born, now: e.tail.At, call: k}
	if len(t.appends) > 0 {
		r.now = t.at
	}
	out, err := guard(func() (catalog.Outcome, error) {
		return d.Decide(r, catalog.Call{
			Params: k.params, ID: k.ID, At: t.at,
			Who: k.Context.Who, Source: k.Context.Source, Commentary: k.Context.Commentary,
			CorrelationID: k.Context.CorrelationID, CausationID: k.Context.CausationID,
			Results: k.results,
		})
	})
	if err == nil || len(k.missing) > 0 {
		return out, nil
	}
	var f *catalog.Fault
	if errors.As(err, &f) {
		brief := *f // which may be a value that the author shares between calls
		brief.Detail = catalog.Brief(f.Detail)
		return out, &brief
	}
	s.log.Error("a decision failed", "command", k.Name, "id", k.ID, "stream", e.id, "error", err)
	return out, catalog.Faultf(catalog.Internal, "the decision of %s failed", k.Name)
}

type none struct{}

// guard turns a panic in an author's code into an error.
func guard[T any](f func() (T, error)) (out T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return f()
}

// take adds what a decision came to to the turn, and folds it: decoded from the
// bytes that will be stored, so that memory and stream never differ.
func (s *System) take(e *entity, t *turn, k *call, out catalog.Outcome) *catalog.Fault {
	a := stream.Append{ID: k.appendID, ParamsHash: k.hash, Context: k.Context}
	if !k.def.Transient {
		a.Result = out.Result
	}
	a.Context.Schema = e.def.Schema()
	values := make([]any, len(out.Events))
	known := make([]*catalog.Event, len(out.Events))
	for i, event := range out.Events {
		if known[i] = e.def.EventOf(event); known[i] == nil {
			s.log.Error("a decision answered an event that its entity does not declare", "command", k.Name, "event", fmt.Sprintf("%T", event))
			return catalog.Faultf(catalog.Internal, "the decision of %s failed", k.Name)
		}
		data, err := json.Marshal(event)
		if err == nil {
			values[i], err = known[i].Decode(known[i].Version, data)
		}
		if err != nil {
			s.log.Error("an event does not survive JSON", "command", k.Name, "event", known[i].Name, "error", err)
			return catalog.Faultf(catalog.Internal, "the decision of %s failed", k.Name)
		}
		a.Events = append(a.Events, stream.Event{Name: known[i].Name, Version: known[i].Version, Data: data})
	}
	size := a.Size()
	if k.Step != "" && !k.decision.Undoes && len(k.Results)+len(out.Result) > flow.MaxResults {
		return flow.TooMuch(k.Step)
	}
	if size > stream.MaxAppend {
		return catalog.Faultf(catalog.TooLarge, "%d bytes of events and result in one append, the limit is %d", size, stream.MaxAppend)
	}
	if all := k.size() + 2*len(out.Result) + size; all > maxCommand {
		return catalog.Faultf(catalog.TooLarge, "%d bytes of parameters, events and result in one command, the limit is %d", all, maxCommand)
	}
	t.bytes += 2*len(out.Result) + size
	k.answer.Result, k.answer.Sequence = out.Result, t.last
	if len(out.Events) == 0 {
		if k.Step != "" {
			s.close(e, t, k, nil)
		}
		return nil
	}
	meta := metaOf(e.id, a.Context)
	meta.At = t.at
	for i, value := range values {
		t.last++
		meta.Sequence = t.last
		for n, f := range t.folds {
			if f != nil && e.def.Projections[n].Handles[known[i].Index] {
				f.Apply(known[i].Index, value, &meta)
			}
		}
	}
	k.answer.Sequence = t.last
	t.appends = append(t.appends, a)
	return nil
}

// commit writes a turn and resolves it. again says that it must be decided
// anew: another owner was faster, or a command had been given before. The entity
// is dropped then if what is in memory is not what its stream says.
func (s *System) commit(ctx context.Context, e *entity, t *turn) (again bool, err error) {
	if len(t.decided) == 0 {
		return false, nil
	}
	if len(t.appends) == 0 {
		// Nothing fences a turn that only refuses: look whether we still own it.
		newer, err := s.reader.Exists(ctx, e.id, e.tail.Number+1)
		if newer {
			e.drop()
		}
		if err != nil || newer {
			return newer, err
		}
	}
	if err := s.recall(ctx, t); err != nil {
		return false, err
	}
	s.record(t)
	if len(t.appends) == 0 && len(t.records) == 0 {
		return false, nil
	}
	if len(t.appends) > 0 && e.tail.Last == 0 && !longrunsOwn(e.id.Type) {
		if err := s.registerKey(ctx, e.id); err != nil {
			return false, err
		}
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	return s.write(ctx, e, t)
}

func (s *System) write(ctx context.Context, e *entity, t *turn) (again bool, err error) {
	g := &group{}
	c := stream.Commit{
		Stream: e.id, Number: e.tail.Number + 1, ID: uuid.New(), First: e.tail.Last + 1,
		Prev: e.tail.Hash, At: t.at, Appends: t.appends,
	}
	if len(t.appends) > 0 {
		g.entries = append(g.entries, stream.Entry{Key: e.id.CommitKey(c.Number), Value: c.Encode(), Partition: e.id.Partition()})
	}
	offset := len(g.entries)
	for _, r := range t.records {
		g.entries = append(g.entries, r.entry)
		g.rows = append(g.rows, r.row)
	}
	if e.id.Type == flow.CommandType && c.Number == 1 {
		g.rows = append(g.rows, firstRow(e))
	}
	done := make(chan outcome, 1)
	g.done = func(o outcome) { done <- o }
	s.flusher.submit(g)
	var o outcome
	select {
	case o = <-done:
	case <-ctx.Done():
		return false, ctx.Err() // it may land yet
	}
	if o.err != nil {
		return false, o.err
	}
	if !o.landed {
		if len(t.appends) > 0 { // the folds hold them
			e.drop()
		}
		for i, value := range o.taken {
			if i >= offset {
				s.answerFrom(t.records[i-offset].call, value)
			}
		}
		return true, nil
	}
	if len(t.appends) > 0 {
		e.follow(&c, g.entries[0].Value)
		s.followers.wake(e.id)
		if e.tail.Number-e.headAt >= headEvery {
			s.writeHead(e)
		}
	}
	return false, nil
}

func refuseAll(calls []*call, f *catalog.Fault) {
	for _, k := range calls {
		if !k.answered {
			k.refuse(f)
		}
	}
}

// faultOf makes a fault of what went wrong below: safe to try again.
func faultOf(err error) *catalog.Fault {
	var f *catalog.Fault
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, stream.ErrCorrupt):
		return catalog.Faultf(catalog.Internal, "%v", err)
	default:
		return catalog.Faultf(catalog.Unavailable, "%v", err)
	}
}
