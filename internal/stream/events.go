package stream

import (
	"context"
	"time"
)

// Recorded is an event with all that is known of how it was written.
type Recorded struct {
	Sequence uint64
	Event    Event
	Context  Context
	At       time.Time
	Commit   uint64 // number of the commit that holds it
	CommitID [16]byte
	AppendID string
}

// size is what the event adds to an answer, in bytes, generously.
func (e *Recorded) size() int {
	a := Append{ID: e.AppendID, Context: e.Context}
	return a.Size() + len(e.Event.Name) + len(e.Event.Data)
}

// Events reads at most limit events from the sequence from on, and fewer if
// they would exceed MaxBatch; a limit below 1 leaves only that. next is the
// sequence to go on from, 0 if there was no more.
func (r Reader) Events(ctx context.Context, id ID, from uint64, limit int) (events []Recorded, next uint64, err error) {
	from = max(from, 1)
	number := uint64(1)
	if from > 1 {
		found, ok, err := r.FindSequence(ctx, id, from)
		if err != nil || !ok {
			return nil, 0, err
		}
		number = found
	}
	size := 0
	for raw, err := range r.Commits(ctx, id, number, 0) {
		if err != nil {
			return nil, 0, err
		}
		for e := range raw.events {
			if e.Sequence < from {
				continue
			}
			size += e.size()
			if len(events) > 0 && (len(events) == limit || size > MaxBatch) {
				return events, e.Sequence, nil
			}
			events = append(events, e)
		}
	}
	return events, 0, nil
}

// events iterates over the commit's events in their order.
func (c *Commit) events(yield func(Recorded) bool) {
	sequence := c.First
	for i := range c.Appends {
		a := &c.Appends[i]
		for _, e := range a.Events {
			if !yield(Recorded{
				Sequence: sequence, Event: e, Context: a.Context, At: c.At,
				Commit: c.Number, CommitID: c.ID, AppendID: a.ID,
			}) {
				return
			}
			sequence++
		}
	}
}
