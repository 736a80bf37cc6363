package main

import (
	"context"
	"fmt"
	"time"
)

// manyEvents is how many events a large append holds.
const manyEvents = 100

// largeAppends measures events a second in appends of many.
func largeAppends(ctx context.Context, l *lab) (measured, error) {
	h, err := l.host(ctx, mode{})
	if err != nil {
		return measured{}, err
	}
	const entities = 1000
	set, err := targets("large", entities, manyEvents)
	if err != nil {
		return measured{}, err
	}
	ours := h.commands(set, addUnrecorded)
	if err := warm(ctx, entities, ours); err != nil {
		return measured{}, err
	}
	m, err := repeat(ctx, inFlight, ours)
	m.value *= manyEvents
	return m, err
}

// longStream compares the time of an append to a long stream with that of one
// to a short stream, both open, one append at a time.
func longStream(ctx context.Context, l *lab) (measured, error) {
	const (
		longEvents, shortEvents = 100_000, 10
		shorts                  = 100 // so that each stays short
		samples                 = 600
	)
	h, err := l.host(ctx, mode{})
	if err != nil {
		return measured{}, err
	}
	long, err := h.filled(ctx, "long", 1, longEvents, 1000)
	if err != nil {
		return measured{}, err
	}
	short, err := h.filled(ctx, "short", shorts, shortEvents, shortEvents)
	if err != nil {
		return measured{}, err
	}
	toLong, toShort := h.commands(long, addUnrecorded), h.commands(short, addUnrecorded)
	times, err := alternate(ctx, samples, toLong, toShort)
	if err != nil {
		return measured{}, err
	}
	return measured{value: milliseconds(times[0], 0.5), baseline: milliseconds(times[1], 0.5)}, nil
}

// filled makes counters of so many events, each times at a time, and returns
// them as targets of one event.
func (h *hosting) filled(ctx context.Context, prefix string, n, events, times int) ([]target, error) {
	prefix = fmt.Sprintf("%s-%s", prefix, newID())
	large, err := targets(prefix, n, times)
	if err != nil {
		return nil, err
	}
	if err := all(ctx, inFlight, uint64(n*events/times), h.commands(large, addUnrecorded)); err != nil {
		return nil, err
	}
	return targets(prefix, n, 1)
}

// alternate calls each op in turn, one call at a time, and returns how long the
// calls took, by op.
func alternate(ctx context.Context, samples int, ops ...op) ([][]time.Duration, error) {
	times := make([][]time.Duration, len(ops))
	for n := range samples {
		for i, do := range ops {
			start := time.Now()
			if err := do(ctx, uint64(n)); err != nil {
				return nil, err
			}
			times[i] = append(times[i], time.Since(start))
		}
	}
	return times, ctx.Err()
}
