package stream

import (
	"context"
	"math"
	"slices"
	"time"
)

// probes is how many commits a search looks at in one call.
const probes = 32

// FindSequence finds the commit that holds the event with the given sequence;
// ok is false if the stream does not reach that far. It takes one call to the
// store where commits hold one event each, and a few where they do not.
func (r Reader) FindSequence(ctx context.Context, id ID, sequence uint64) (number uint64, ok bool, err error) {
	if sequence == 0 {
		return 0, false, nil
	}
	number, found, err := r.search(ctx, id, sequence, func(c *Commit) bool { return c.Last() >= sequence })
	if err != nil || found == nil {
		return 0, false, err
	}
	if found.First > sequence {
		return 0, false, &CorruptError{Stream: id, Number: number, Problem: "its first sequence does not follow the commit before it"}
	}
	return number, true, nil
}

// FindTime finds the last commit that was written at t or before; 0 if there is
// none. Of several commits with the same time it finds the last.
func (r Reader) FindTime(ctx context.Context, id ID, t time.Time) (number uint64, err error) {
	head, err := r.Head(ctx, id)
	if err != nil {
		return 0, err
	}
	guess := uint64(1)
	if head != nil {
		guess = head.Number
	}
	number, _, err = r.search(ctx, id, guess, func(c *Commit) bool { return c.At.After(t) })
	if err != nil {
		return 0, err
	}
	return number - 1, nil
}

// search finds the first commit that is past, or the number after the newest
// commit, with a nil commit, if none is. past must be false up to some commit
// and true from there on. guess says where to look first and nothing else.
func (r Reader) search(ctx context.Context, id ID, guess uint64, past func(*Commit) bool) (uint64, *Commit, error) {
	low, high := uint64(0), uint64(math.MaxUint64) // not past, and past or absent
	var found *Commit                              // the commit at high
	numbers := spread(guess)
	for high-low > 1 {
		values, err := r.values(ctx, id, numbers)
		if err != nil {
			return 0, nil, err
		}
		absent := slices.IndexFunc(values, func(b []byte) bool { return b == nil })
		if absent >= 0 && slices.ContainsFunc(values[absent:], func(b []byte) bool { return b != nil }) {
			if _, err := r.confirmEnd(ctx, id, numbers[absent], true); err != nil {
				return 0, nil, err
			}
			continue // it was written while we looked
		}
		for i, b := range values {
			if b == nil {
				high, found = numbers[i], nil
				break
			}
			c, err := Decode(id, numbers[i], b)
			if err != nil {
				return 0, nil, err
			}
			if past(&c) {
				high, found = numbers[i], &c
				break
			}
			low = numbers[i]
		}
		numbers = between(low, high)
	}
	if found == nil {
		if _, err := r.confirmEnd(ctx, id, high, false); err != nil {
			return 0, nil, err
		}
	}
	return high, found, nil
}

// spread returns numbers around guess, and up from 1 in case that it is far
// off, each further away than the one before.
func spread(guess uint64) []uint64 {
	var numbers []uint64
	add := func(n uint64) {
		if n > 0 && n < math.MaxUint64 {
			numbers = append(numbers, n)
		}
	}
	add(guess)
	for step := uint64(1); step <= 1<<12; step *= 4 {
		add(guess - min(step, guess))
		add(guess + min(step, math.MaxUint64-guess))
	}
	for n := uint64(1); n <= 1<<30; n *= 4 {
		add(n)
	}
	slices.Sort(numbers)
	return slices.Compact(numbers)
}

// between returns numbers between low and high, evenly spaced; all of them if
// they are few.
func between(low, high uint64) []uint64 {
	gap := high - low
	n := min(gap-1, probes)
	if gap <= 2*probes {
		n = gap - 1
	}
	numbers := make([]uint64, n)
	for i := range numbers {
		k := uint64(i) + 1
		numbers[i] = low + gap/(n+1)*k + gap%(n+1)*k/(n+1)
	}
	return numbers
}
