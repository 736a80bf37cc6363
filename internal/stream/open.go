package stream

import (
	"context"
	"time"
)

// Tail is where a stream ends. The zero Tail is that of an empty stream.
type Tail struct {
	Number uint64 // of the newest commit
	Hash   Hash   // of its stored bytes, for the next commit's Prev
	Last   uint64 // the last sequence; the next commit's First is one more
	At     time.Time
	Head   *Head // the head, if there is one and it agrees with the stream
}

func tailOf(raw *Raw) Tail {
	return Tail{Number: raw.Number, Hash: raw.Hash, Last: raw.Last(), At: raw.At}
}

// check says whether c can follow t. Times are not looked at: no time makes an
// event untrue. Verify reports them.
func (t *Tail) check(c *Commit) error {
	switch {
	case c.Prev != t.Hash:
		return &CorruptError{Stream: c.Stream, Number: c.Number, Problem: "it does not carry the hash of the commit before it"}
	case c.First != t.Last+1:
		return &CorruptError{Stream: c.Stream, Number: c.Number, Problem: "its first sequence does not follow the commit before it"}
	}
	return nil
}

// describes says whether h is a head at raw.
func (h *Head) describes(raw *Raw) bool {
	return h.Number == raw.Number && h.Hash == raw.Hash && h.Last == raw.Last() && h.At.Equal(raw.At)
}

// Open finds the end of a stream and gives use every commit on the way there:
// those after the head, or all from 1 if there is no head, if it does not agree
// with the stream, or if resume refuses it. resume is called at most once,
// before use, with a head that agrees, and says whether the caller goes on from
// its snapshots; a nil resume always does. An error of use ends Open and is
// returned as it is.
//
// With a head that is no more than 64 commits old it takes three calls to the
// store at most, and 10,000 commits without one take about fifteen.
func (r Reader) Open(ctx context.Context, id ID, resume func(*Head) bool, use func(Raw) error) (Tail, error) {
	head, err := r.Head(ctx, id)
	if err != nil {
		return Tail{}, err
	}
	if head != nil {
		tail, how, err := r.openAt(ctx, id, head, resume, use)
		if how == resumed || err != nil {
			return tail, err
		}
		if how == disagreed {
			head = nil
		}
	}
	tail := Tail{}
	for raw, err := range r.Commits(ctx, id, 1, 0) {
		if err == nil {
			err = use(raw)
		}
		if err != nil {
			return Tail{}, err
		}
		tail = tailOf(&raw)
	}
	if head != nil && tail.Number < head.Number {
		return Tail{}, &CorruptError{Stream: id, Number: tail.Number + 1, Problem: "it is missing, though the head's commit exists"}
	}
	tail.Head = head
	return tail, nil
}

// opening is how far a stream could be opened at its head.
type opening int

const (
	disagreed opening = iota // the head is not one of this stream
	refused                  // it is, and the caller wants all commits from 1
	resumed                  // the caller has the commits after it
)

// openAt opens the stream at its head. Only if it resumed is the tail of use.
func (r Reader) openAt(
	ctx context.Context, id ID, head *Head, resume func(*Head) bool, use func(Raw) error,
) (Tail, opening, error) {
	tail, how := Tail{}, disagreed
	for raw, err := range r.Commits(ctx, id, head.Number, 0) {
		switch {
		case err != nil:
			return Tail{}, how, err
		case how == resumed:
			if err := use(raw); err != nil {
				return Tail{}, how, err
			}
		case !head.describes(&raw):
			return Tail{}, disagreed, nil
		case resume != nil && !resume(head):
			return Tail{}, refused, nil
		}
		how = resumed
		tail = tailOf(&raw)
		tail.Head = head
	}
	return tail, how, nil
}
