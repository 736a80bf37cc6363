package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/longrun-dev/longrun/internal/stream"
)

// runningMode is how commands that run on are hosted: with the defaults of `make run`.
var runningMode = mode{shortWay: true, runOn: true}

// threeStepAlone compares the time of a command of three steps with that of a
// bare workflow of three activities, one at a time. What the engine still does
// when the command has ended is waited for, and not counted.
func threeStepAlone(ctx context.Context, l *lab) (measured, error) {
	const names, warmUp, samples = 100, 10, 100
	h, err := l.host(ctx, runningMode)
	if err != nil {
		return measured{}, err
	}
	prefix := newID()
	if err := h.warmThrees(ctx, prefix, names); err != nil {
		return measured{}, err
	}
	var ours, base []time.Duration
	for i := range warmUp + samples {
		name := memberName(prefix, i%names)
		them, err := h.bare.run(ctx, bareThree, name)
		if err != nil {
			return measured{}, err
		}
		id := newID()
		us, err := h.runCommand(ctx, threeSteps, id, encoded(threeOf(name, 1)))
		if err != nil {
			return measured{}, err
		}
		if err := h.bare.ended(ctx, id); err != nil {
			return measured{}, err
		}
		if i >= warmUp {
			ours, base = append(ours, us), append(base, them)
		}
	}
	m := measured{value: milliseconds(ours, 0.5), baseline: milliseconds(base, 0.5)}
	m.note = fmt.Sprintf("p95 %.0f and %.0f ms", milliseconds(ours, 0.95), milliseconds(base, 0.95))
	return m, nil
}

// warmThrees brings the counters of some names into memory.
func (h *hosting) warmThrees(ctx context.Context, prefix string, names int) error {
	var all []target
	for i := range names {
		for _, key := range threeOf(memberName(prefix, i), 1).keys() {
			all = append(all, target{stream.ID{Type: counterType, Key: string(key)}, encoded(add{Counter: key, By: 1})})
		}
	}
	return warm(ctx, len(all), h.commands(all, addUnrecorded))
}

// threeStepParallel compares how many of them come to their ends in a second when
// many run at the same time. Ours have ended only when the engine has, too.
func threeStepParallel(ctx context.Context, l *lab) (measured, error) {
	const names, workers, each, parallelRounds = 200, 64, 320, 3
	h, err := l.host(ctx, runningMode)
	if err != nil {
		return measured{}, err
	}
	prefix := newID()
	if err := h.warmThrees(ctx, prefix, names); err != nil {
		return measured{}, err
	}
	var m measured
	var us, them []float64
	for round := range parallelRounds + 1 { // the first warms
		n := uint64(each)
		if round == 0 {
			n = workers
		}
		base := load(ctx, workers, 0, n, func(ctx context.Context, i uint64) error {
			_, err := h.bare.run(ctx, bareThree, memberName(prefix, int(i%names)))
			return err
		})
		ours := h.threesInParallel(ctx, workers, n, prefix, names)
		m.baselineFaults.add(base)
		m.faults.add(ours)
		if round > 0 {
			us, them = append(us, ours.rate()), append(them, base.rate())
		}
	}
	m.value, m.baseline = median(us), median(them)
	return m, ctx.Err()
}

func (h *hosting) threesInParallel(ctx context.Context, workers int, n uint64, prefix string, names uint64) tally {
	start := time.Now()
	var mu sync.Mutex
	var begun []string
	t := load(ctx, workers, 0, n, func(ctx context.Context, i uint64) error {
		id := newID()
		mu.Lock()
		begun = append(begun, id)
		mu.Unlock()
		_, err := h.runCommand(ctx, threeSteps, id, encoded(threeOf(memberName(prefix, int(i%names)), 1)))
		return err
	})
	rest := load(ctx, workers, 0, n, func(ctx context.Context, i uint64) error { return h.bare.ended(ctx, begun[i]) })
	t.failed += rest.failed
	if t.first == nil {
		t.first = rest.first
	}
	t.elapsed = time.Since(start)
	return t
}
