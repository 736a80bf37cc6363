package stream

import (
	"context"
	"fmt"
	"iter"
	"math"
)

// How many commits one call to the store asks for: few at first, because most
// reads are short, then more and more.
const (
	firstPage  = 16
	pageGrowth = 4
	lastPage   = 1024
)

// Reader reads streams from a store. It keeps nothing between calls; all its
// methods may be called at the same time. Errors of the store are returned
// wrapped; what is wrong with the stream itself is a *CorruptError.
type Reader struct{ Store }

// Raw is a commit as it was read.
type Raw struct {
	Commit
	Bytes []byte // as stored; the commit's byte slices alias it
	Hash  Hash   // of Bytes
}

// Commits reads the commits from..to in their order. With to = 0 it ends after
// the newest; otherwise all of them must exist (from > to is none). A commit
// that is missing although a later one exists, that does not belong at its
// place, or that does not follow the one before it (by hash and sequence) ends
// the run with a *CorruptError. What from itself follows is checked if from is
// 1; 0 counts as 1.
//
// Whatever was read is given before an error is. The commits are new memory for
// the caller to keep.
func (r Reader) Commits(ctx context.Context, id ID, from, to uint64) iter.Seq2[Raw, error] {
	return func(yield func(Raw, error) bool) {
		next := max(from, 1)
		tail, linked := Tail{}, next == 1
		until := to
		if to == 0 {
			until = math.MaxUint64
		}
		for size := firstPage; next != 0 && next <= until; {
			values, err := r.page(ctx, id, next, min(uint64(size-1), until-next)+1)
			if err != nil {
				yield(Raw{}, err)
				return
			}
			got, total := 0, 0
			for ; got < len(values) && values[got] != nil; got++ {
				raw, err := decodeRaw(id, next, values[got])
				if err == nil && linked {
					err = tail.check(&raw.Commit)
				}
				if err != nil {
					yield(Raw{}, err)
					return
				}
				if !yield(raw, nil) {
					return
				}
				tail, linked = tailOf(&raw), true
				total += len(raw.Bytes)
				next++ // 0 after the last number there is
			}
			if got < len(values) {
				ended, err := r.ended(ctx, id, next, values[got:], to != 0)
				if err != nil {
					yield(Raw{}, err)
				}
				if err != nil || ended {
					return
				}
				continue
			}
			size = min(size*pageGrowth, lastPage, max(1, MaxBatch*got/total))
		}
	}
}

// page reads n commits from the number from on; nil for one that is absent.
func (r Reader) page(ctx context.Context, id ID, from, n uint64) ([][]byte, error) {
	numbers := make([]uint64, n)
	for i := range numbers {
		numbers[i] = from + uint64(i)
	}
	return r.values(ctx, id, numbers)
}

// values reads the commits with the given numbers in one call.
func (r Reader) values(ctx context.Context, id ID, numbers []uint64) ([][]byte, error) {
	partition := id.Partition()
	keys := make([]string, len(numbers))
	for i, n := range numbers {
		keys[i] = commitKey(partition, n)
	}
	values, err := r.Read(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("read %s, commits %d to %d: %w", id, numbers[0], numbers[len(numbers)-1], err)
	}
	return values, nil
}

func decodeRaw(id ID, n uint64, b []byte) (Raw, error) {
	c, err := Decode(id, n, b)
	if err != nil {
		return Raw{}, err
	}
	return Raw{Commit: c, Bytes: b, Hash: HashOf(b)}, nil
}

// Exists says whether commit n of the stream is there: the check that an owner
// makes before an answer that must not be stale.
func (r Reader) Exists(ctx context.Context, id ID, n uint64) (bool, error) {
	values, err := r.values(ctx, id, []uint64{n})
	if err != nil {
		return false, err
	}
	return values[0] != nil, nil
}

// Head reads the stream's head in one call; nil if there is none, or none that
// can be used. Nobody has compared it with the stream yet: Open does.
func (r Reader) Head(ctx context.Context, id ID) (*Head, error) {
	head, _, err := r.readHead(ctx, id)
	return head, err
}

// readHead also says why a head that is there cannot be used.
func (r Reader) readHead(ctx context.Context, id ID) (head *Head, damage, err error) {
	values, err := r.Read(ctx, []string{id.HeadKey()})
	if err != nil {
		return nil, nil, fmt.Errorf("read %s, head: %w", id, err)
	}
	if values[0] == nil {
		return nil, nil, nil
	}
	h, err := DecodeHead(values[0])
	if err != nil {
		return nil, err, nil
	}
	return &h, nil, nil
}
