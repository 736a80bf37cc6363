package actors

import (
	"context"
	"encoding/json"
	"time"

	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/flow"
	"github.com/longrun-dev/longrun/internal/stream"
)

// recallAppend finds a call's append in the entity's stream, if it is there
// already. Recent appends are remembered. A step says when what caused it was
// committed (CauseAt), and no commit with its append is older than that: every
// turn stamps it so. So where memory ends later, commits are read back to that
// time and no further.
func (s *System) recallAppend(ctx context.Context, e *entity, k *call) (*stream.RecentID, error) {
	if r := e.remembered(k.appendID); r != nil || k.Step == "" || k.CauseAt.IsZero() || len(e.recent) < stream.MaxRecent {
		return r, nil
	}
	oldest := e.recent[0].Commit
	if len(e.times) > 0 && e.times[0].number == oldest && e.times[0].at.Before(k.CauseAt) {
		return nil, nil
	}
	for to := oldest; to > 0; {
		from := max(to, lookBackPage) - lookBackPage + 1
		done := false
		for raw, err := range s.reader.Commits(ctx, e.id, from, to) {
			if err != nil {
				return nil, err
			}
			done = done || raw.At.Before(k.CauseAt)
			for _, r := range stream.Remember(nil, &raw.Commit) {
				if r.ID == k.appendID {
					return &r, nil
				}
			}
		}
		if done {
			break
		}
		to = from - 1
	}
	return nil, nil
}

// lookBackPage is how many commits are read back at a time.
const lookBackPage = 64

// commitTime is when a commit was written.
type commitTime struct {
	number uint64
	at     time.Time
}

// remember adds a commit's appends to the recent ones.
func (e *entity) remember(c *stream.Commit) {
	e.recent = stream.Remember(e.recent, c)
	e.times = append(e.times, commitTime{c.Number, c.At})
	stale := 0
	for stale < len(e.times) && len(e.recent) > 0 && e.times[stale].number < e.recent[0].Commit {
		stale++
	}
	e.times = e.times[stale:]
}

// settle takes a call's append id for good: an append without events. Whatever
// is still under way with that id finds it taken.
func (s *System) settle(e *entity, t *turn, k *call) {
	s.takeID(e, t, k, nil)
	k.answer.Status, k.answer.Sequence, k.answer.Result = StatusSettled, t.last, nil
}

// closing is what is stored of a step that appended no event: its answer.
type closing struct {
	Fault  *catalog.Fault  `json:"fault,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
}

// closes says whether a fault ends a step for good, so that its id is taken: a
// try that is still under way would otherwise carry it out when the state has
// moved on. The no of an undoing is not the last word.
func (k *call) closes(f *catalog.Fault) bool {
	return k.Step != "" && !k.Dry && !k.decision.Undoes && f.Code != catalog.Unavailable && f.Code != catalog.Internal
}

// close takes the id of a step that appended no event, with its answer.
func (s *System) close(e *entity, t *turn, k *call, f *catalog.Fault) {
	answer, err := encode(closing{f, k.answer.Result})
	if err != nil {
		panic(err) // a result is JSON already
	}
	s.takeID(e, t, k, answer)
}

func (s *System) takeID(e *entity, t *turn, k *call, answer []byte) {
	a := stream.Append{ID: k.appendID, ParamsHash: k.hash, Context: k.Context, Result: answer}
	a.Context.Schema = e.def.Schema()
	t.appends = append(t.appends, a)
	t.bytes += k.size() + len(answer)
}

// answerFromAppend answers a call from what its append says.
func (k *call) answerFromAppend(a *stream.Append, r *stream.RecentID) {
	k.answer.Status, k.answer.Sequence, k.answer.Result = flow.StatusCompleted, r.Last, a.Result
	if len(a.Events) > 0 {
		return
	}
	var c closing
	switch {
	case a.Result == nil && k.Settle:
		k.answer.Status = StatusSettled
	case a.Result == nil:
		k.fault = catalog.Faultf(catalog.Conflict, "%s was given up before it came here", k.appendID)
	default:
		if err := json.Unmarshal(a.Result, &c); err != nil {
			k.fault = catalog.Faultf(catalog.Internal, "%s: the answer that is stored cannot be read", k.appendID)
			return
		}
		k.fault, k.answer.Result = c.Fault, c.Result
		if c.Fault != nil && c.Fault.Code == catalog.Rejected {
			k.answer.Status = flow.StatusRejected
		}
	}
}
