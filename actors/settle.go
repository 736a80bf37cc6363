package actors

import (
	"context"
	"time"

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
	a := stream.Append{ID: k.appendID, ParamsHash: k.hash, Context: k.Context}
	a.Context.Schema = e.def.Schema()
	t.appends = append(t.appends, a)
	t.bytes += k.size()
	k.answer.Status, k.answer.Sequence, k.answer.Result = StatusSettled, t.last, nil
}
