package actors

import (
	"context"

	"github.com/google/uuid"

	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/flow"
	"github.com/longrun-dev/longrun/internal/stream"
)

func commandStream(id string) stream.ID { return stream.ID{Type: flow.CommandType, Key: id} }

// recorded says whether the command gets a stream of its own.
func (k *call) recorded() bool { return k.def != nil && k.Step == "" && !k.def.Unrecorded }

// final says whether what was decided is written to the command's stream:
// a success or the domain's no. Anything else may be tried again.
func (k *call) final() bool { return k.fault == nil || k.fault.Code == catalog.Rejected }

// recall looks for an earlier answer to recorded commands that this turn would
// refuse without writing anything: a repeat gets the first answer even where
// the state has moved on. (One that is written finds its key taken.)
func (s *System) recall(ctx context.Context, t *turn) error {
	var calls []*call
	var keys []string
	for _, k := range t.decided {
		if k.recorded() && !k.final() {
			calls = append(calls, k)
			keys = append(keys, commandStream(k.ID).CommitKey(1))
		}
	}
	if len(keys) == 0 {
		return nil
	}
	values, err := s.store.Read(ctx, keys)
	if err != nil {
		return err
	}
	for i, value := range values {
		if value != nil {
			s.answerFrom(calls[i], value)
		}
	}
	return nil
}

// record makes the command streams of a turn.
func (s *System) record(t *turn) {
	for _, k := range t.decided {
		if !k.recorded() || !k.final() || k.answered {
			continue
		}
		id := commandStream(k.ID)
		step := flow.StepInitiated{Step: k.decision.Step, Entity: k.answer.Entity, Key: k.answer.Key}
		a := stream.Append{ID: k.ID + "/direct", ParamsHash: k.hash, Context: k.Context}
		for _, e := range flow.Direct(k.Name, k.Params, step, k.answer.Sequence, k.answer.Result, k.fault) {
			data, err := encode(e.Data)
			if err != nil {
				panic(err) // parameters and results are JSON already
			}
			a.Events = append(a.Events, stream.Event{Name: e.Name, Version: 1, Data: data})
		}
		c := stream.Commit{Stream: id, Number: 1, ID: uuid.New(), First: 1, At: t.at, Appends: []stream.Append{a}}
		t.records = append(t.records, record{
			call:  k,
			entry: stream.Entry{Key: id.CommitKey(1), Value: c.Encode(), Partition: id.Partition()},
			row:   row{ID: k.ID, Command: k.Name, Status: k.answer.Status},
		})
	}
}

// answerFrom answers a command from its stream's first commit.
func (s *System) answerFrom(k *call, value []byte) {
	k.answered = true
	c, err := stream.Decode(commandStream(k.ID), 1, value)
	if err != nil {
		k.fault = faultOf(err)
		return
	}
	if len(c.Appends) == 0 || c.Appends[0].ParamsHash != k.hash {
		k.fault = conflictingID(k.ID)
		return
	}
	st, err := stateOf(k.ID, &c)
	if err != nil {
		k.fault = faultOf(err)
		return
	}
	p := &st.Progress
	k.fault = p.Error
	k.answer.Status, k.answer.Result = p.Status, p.Result
	if len(p.Steps) > 0 {
		k.answer.Sequence = st.Subjects[p.Steps[0].Name].Sequence
	}
}

// repeat answers a command whose append the entity remembers.
func (s *System) repeat(ctx context.Context, e *entity, k *call, r *stream.RecentID) {
	k.answered = true
	k.fault = nil
	if r.ParamsHash != k.hash {
		k.fault = conflictingID(k.ID)
		return
	}
	for raw, err := range s.reader.Commits(ctx, e.id, r.Commit, r.Commit) {
		if err != nil {
			k.fault = faultOf(err)
			return
		}
		for i := range raw.Commit.Appends {
			if a := &raw.Commit.Appends[i]; a.ID == k.appendID {
				k.answerFromAppend(a, r)
				return
			}
		}
	}
	k.fault = catalog.Faultf(catalog.Unavailable, "%s: commit %d could not be read", e.id, r.Commit)
}

func conflictingID(id string) *catalog.Fault {
	return catalog.Faultf(catalog.Conflict, "id %q was used before, for another command or with other parameters or options", id)
}

// stateOf folds the commits of a command stream, without events that this release
// does not know: it is for reading.
func stateOf(id string, commits ...*stream.Commit) (*flow.State, error) {
	st := &flow.State{Progress: flow.Progress{ID: id}}
	for _, c := range commits {
		sequence := c.First
		for i := range c.Appends {
			for k := range c.Appends[i].Events {
				e := &c.Appends[i].Events[k]
				if !flow.Knows(e.Name) {
					sequence++
					continue
				}
				if err := st.Apply(e.Name, e.Data, sequence, c.At); err != nil {
					return st, err
				}
				sequence++
			}
		}
	}
	return st, nil
}
