package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/longrun-dev/longrun/internal/stream"
)

const (
	directItems    = 10_000
	directChildren = 4_000 // of the plain fan-out: it is as slow with fewer
	multiStepItems = 2_000
	batchRounds    = 2 // of ours, the plain way between them: it takes minutes
)

// batchOfDirect compares the items a second of a batch of direct items with those
// of a plain workflow that fans out children with one append each.
func batchOfDirect(ctx context.Context, l *lab) (measured, error) {
	h, set, err := l.members(ctx, directItems)
	if err != nil {
		return measured{}, err
	}
	plain := func() (float64, error) {
		return h.fanOut(ctx, fanOutInput{Child: bareOne, Set: set, N: directChildren})
	}
	return h.batches(ctx, batchOfDirectItems, set, directItems, plain)
}

// batchOfMultiStep compares the items a second of a batch whose items have three
// steps with those of a plain workflow that fans out children with the same
// steps as activities. The note says what children with one append come to.
func batchOfMultiStep(ctx context.Context, l *lab) (measured, error) {
	h, set, err := l.members(ctx, multiStepItems)
	if err != nil {
		return measured{}, err
	}
	if err := h.warmThrees(ctx, set, multiStepItems); err != nil {
		return measured{}, err
	}
	var single float64
	plain := func() (float64, error) {
		rate, err := h.fanOut(ctx, fanOutInput{Child: bareThree, Set: set, N: multiStepItems})
		if err == nil && single == 0 {
			single, err = h.fanOut(ctx, fanOutInput{Child: bareOne, Set: set, N: multiStepItems})
		}
		return rate, err
	}
	m, err := h.batches(ctx, batchOfMultiStepItems, set, multiStepItems, plain)
	m.note = fmt.Sprintf("children with a single append: %.0f items/s; %s", single, m.note)
	return m, err
}

// members enrols so many members in a set of their own, and brings them into
// memory.
func (l *lab) members(ctx context.Context, n int) (h *hosting, set string, err error) {
	if h, err = l.host(ctx, runningMode); err != nil {
		return nil, "", err
	}
	set = newID()
	all := make([]target, n)
	for i := range all {
		name := memberName(set, i)
		all[i] = target{stream.ID{Type: memberType, Key: name}, encoded(enrolment{memberID(name), set})}
	}
	return h, set, load(ctx, inFlight, 0, uint64(n), h.commands(all, enrolMember)).first
}

// fanOut runs a plain workflow and says how many of its children ended in a second.
func (h *hosting) fanOut(ctx context.Context, in fanOutInput) (float64, error) {
	took, err := h.bare.run(ctx, bareFanOut, in)
	return float64(in.N) / took.Seconds(), err
}

// batches runs a batch a few times, the plain way in between, and compares their
// items a second.
func (h *hosting) batches(ctx context.Context, command, set string, n int, plain func() (float64, error)) (measured, error) {
	var us, them []float64
	for round := range batchRounds {
		id := newID()
		took, err := h.runCommand(ctx, command, id, encoded(ofSet{set, 1}))
		if err != nil {
			return measured{}, err
		}
		us = append(us, float64(n)/took.Seconds())
		if err := h.checkItems(ctx, command, id, n); err != nil {
			return measured{}, err
		}
		if err := h.bare.ended(ctx, id); err != nil {
			return measured{}, err
		}
		if round == batchRounds-1 {
			break
		}
		rate, err := plain()
		if err != nil {
			return measured{}, err
		}
		them = append(them, rate)
	}
	return measured{value: median(us), baseline: median(them), note: fmt.Sprintf("%.0f to %.0f; plain %.0f to %.0f", slices.Min(us), slices.Max(us), slices.Min(them), slices.Max(them))}, nil
}

// checkItems checks that every item of a batch did what it should.
func (h *hosting) checkItems(ctx context.Context, command, id string, n int) error {
	p, err := h.Progress(ctx, command, id, nil)
	if err != nil {
		return err
	}
	if p.Items == nil || p.Items.Total != n || p.Items.Succeeded != n {
		return fmt.Errorf("batch %s came to %+v and has %d items", id, p.Items, n)
	}
	return nil
}
