package flow

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/longrun-dev/longrun/internal/catalog"
)

// FixGroup says over which group a batch runs, once: whoever comes second is
// dropped.
func FixGroup(def *catalog.Command, s *State, g GroupFixed, now time.Time) ([]Event, error) {
	if def.Batch == nil || s.Batch != nil || s.Progress.Ended() {
		return nil, nil
	}
	return batchEvent(def, s, EventGroupFixed, g, now)
}

// AddMembers takes a chunk that begins where the last one of its source ended.
// Another one is dropped: somebody else was here.
func AddMembers(def *catalog.Command, s *State, e Members, now time.Time) ([]Event, error) {
	b := s.Batch
	if s.Progress.Ended() || b == nil || b.Round != e.Round || b.Sealed || b.Done[e.Shard] || b.Covered[e.Shard] != e.From {
		return nil, nil
	}
	return batchEvent(def, s, EventMembers, e, now)
}

// RecordItems takes the outcomes of items: the first of each counts.
func RecordItems(def *catalog.Command, s *State, e ItemsRecorded, now time.Time) ([]Event, error) {
	b := s.Batch
	if s.Progress.Ended() || b == nil || b.Round != e.Round || e.Chunk < 0 || e.Chunk >= len(b.Chunks) {
		return nil, nil
	}
	chunk := &b.Chunks[e.Chunk]
	seen := map[int]bool{}
	fresh := e.Items[:0:0]
	for _, item := range e.Items {
		if item.Index >= 0 && item.Index < chunk.Size && !chunk.Has(item.Index) && !seen[item.Index] {
			seen[item.Index] = true
			fresh = append(fresh, item)
		}
	}
	if len(fresh) == 0 {
		return nil, nil
	}
	e.Items = fresh
	return batchEvent(def, s, EventItemsRecorded, e, now)
}

// Finish ends a batch whose chunks have all come back although some items have
// no outcome: it was cancelled, or stopped because too much failed.
func Finish(def *catalog.Command, s *State, now time.Time) ([]Event, error) {
	switch {
	case s.Progress.Ended() || !s.Cancelling && (s.Batch == nil || !s.Batch.Stopped):
		return nil, nil
	case s.Cancelling:
		return batchEvent(def, s, EventCancelled, Requested{}, now)
	}
	return batchEvent(def, s, EventCompletedWithFailures, CompletedWithFailures{
		Reason: "stopped-after-failures",
		Detail: fmt.Sprintf("%d of %d items failed, %d did not run", s.Progress.Items.Failed, s.Progress.Items.Total, s.Progress.Items.Pending),
	}, now)
}

// Pause lets no new item of a batch begin.
func Pause(def *catalog.Command, s *State, now time.Time) ([]Event, error) {
	if err := s.running(def); err != nil || s.Batch.Paused {
		return nil, err
	}
	return batchEvent(def, s, EventPaused, Requested{}, now)
}

// Resume goes on after Pause.
func Resume(def *catalog.Command, s *State, now time.Time) ([]Event, error) {
	if err := s.running(def); err != nil || !s.Batch.Paused {
		return nil, err
	}
	return batchEvent(def, s, EventResumed, Requested{}, now)
}

// RetryFailed runs the failed items of an ended batch again, and those that a
// stopped one did not run.
func RetryFailed(def *catalog.Command, s *State, now time.Time) ([]Event, error) {
	switch {
	case s.Progress.Command == "":
		return nil, s.open()
	case s.Progress.Status != StatusCompletedWithFailures:
		return nil, catalog.Faultf(catalog.Conflict, "only a batch that has completed with failures can be repeated: the command is %s", s.Progress.Status)
	}
	return batchEvent(def, s, EventRetryStarted, RetryStarted{s.Batch.Round + 1}, now)
}

// running refuses what is asked of a command that is not a batch at work.
func (s *State) running(def *catalog.Command) error {
	if err := s.open(); err != nil {
		return err
	}
	switch {
	case def.Batch == nil:
		return catalog.Faultf(catalog.Conflict, "command %s is no batch", def.Name)
	case s.Batch == nil:
		return catalog.Faultf(catalog.Conflict, "the batch has not begun: it is %s", s.Progress.Status)
	case s.Cancelling:
		return catalog.Faultf(catalog.Conflict, "the batch is being cancelled")
	}
	return nil
}

func batchEvent(def *catalog.Command, s *State, name string, data any, now time.Time) ([]Event, error) {
	m, err := newMachine(def, s, now)
	if err != nil {
		return nil, err
	}
	if err := m.emit(name, data); err != nil {
		return nil, err
	}
	return m.advanced()
}

// stepBatch decides one thing more of a batch, if it can.
func (m *machine) stepBatch() error {
	b, items := m.state.Batch, m.state.Progress.Items
	switch {
	case b == nil && m.state.Cancelling:
		return m.emit(EventCancelled, Requested{})
	case b == nil:
		return nil
	}
	if !b.Sealed {
		for source := range b.Sources {
			if !b.Done[source] {
				return nil
			}
		}
		return m.emit(EventMembersSealed, MembersSealed{b.Round, b.Found})
	}
	stop := m.state.Options.StopAfterFailures
	switch open := b.Open(); {
	case open > 0 && stop > 0 && b.Failed >= stop && !b.Stopped:
		return m.emit(EventStopped, Stopped{b.Failed})
	case open > 0:
		return nil
	case m.state.Cancelling:
		return m.emit(EventCancelled, Requested{})
	case items.Failed > 0:
		return m.emit(EventCompletedWithFailures, CompletedWithFailures{})
	}
	result, err := json.Marshal(items)
	if err != nil {
		return err
	}
	return m.emit(EventCompleted, Completed{result})
}

// Runs says whether new items of the batch may begin.
func (s *State) Runs() bool {
	return !s.Progress.Ended() && !s.Cancelling && s.Batch != nil && !s.Batch.Paused && !s.Batch.Stopped
}
