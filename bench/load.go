package main

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	rounds = 5 // of each side; the median counts
	slice  = 1500 * time.Millisecond
)

// op is one call of a load; n counts the calls, over all workers, from 0.
type op func(ctx context.Context, n uint64) error

// tally is what a load came to. Only successes count.
type tally struct {
	done    uint64
	failed  uint64
	first   error // the first failure
	elapsed time.Duration
}

func (t tally) rate() float64 { return float64(t.done) / t.elapsed.Seconds() }

// load calls do from so many workers at the same time, until d is over or it
// has been called most times; 0 means no limit of that kind. It waits for all.
func load(ctx context.Context, workers int, d time.Duration, most uint64, do op) tally {
	var next, failed atomic.Uint64
	var once sync.Once
	var t tally
	var group sync.WaitGroup
	start := time.Now()
	for range workers {
		group.Go(func() {
			for ctx.Err() == nil && (d == 0 || time.Since(start) < d) {
				n := next.Add(1) - 1
				if most > 0 && n >= most {
					next.Add(^uint64(0))
					return
				}
				if err := do(ctx, n); err != nil {
					failed.Add(1)
					once.Do(func() { t.first = err })
				}
			}
		})
	}
	group.Wait()
	t.elapsed = time.Since(start)
	t.failed = failed.Load()
	t.done = next.Load() - t.failed
	return t
}

// all calls do n times, and fails if one call does.
func all(ctx context.Context, workers int, n uint64, do op) error {
	t := load(ctx, workers, 0, n, do)
	if t.first != nil {
		return t.first
	}
	return ctx.Err()
}

// compare loads ours and the baseline in turn, so that what else the machine
// does hits both, and takes the medians of their rates.
func compare(ctx context.Context, workers int, ours, base op) (measured, error) {
	var m measured
	var us, them []float64
	for range rounds {
		t := load(ctx, workers, slice, 0, base)
		them = append(them, t.rate())
		m.baselineFaults.add(t)
		t = load(ctx, workers, slice, 0, ours)
		us = append(us, t.rate())
		m.faults.add(t)
	}
	m.value, m.baseline = median(us), median(them)
	return m, ctx.Err()
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// repeat loads ours alone and takes the median of its rates.
func repeat(ctx context.Context, workers int, ours op) (measured, error) {
	var m measured
	var us []float64
	for range rounds {
		t := load(ctx, workers, slice, 0, ours)
		us = append(us, t.rate())
		m.faults.add(t)
	}
	m.value = median(us)
	return m, ctx.Err()
}

// milliseconds is a quantile of times.
func milliseconds(times []time.Duration, quantile float64) float64 {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[int(quantile*float64(len(sorted)-1))].Seconds() * 1000
}
