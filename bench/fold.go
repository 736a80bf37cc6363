package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"time"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/app/bank"
	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

const (
	foldEvents = 10_000 // in the stream that is folded
	foldTime   = time.Second
)

// foldDecoded measures how many decoded events of an account one core folds in
// a second, through the four projections of the bank's API.
func foldDecoded(ctx context.Context, _ *lab) (measured, error) {
	all, err := catalog.New(bank.Domain().Catalog())
	if err != nil {
		return measured{}, err
	}
	account := all.Entities[accountType]
	var projections []*catalog.Projection
	for _, name := range []string{"balance", "overdraft-limit", "interest-due", "statement"} {
		projections = append(projections, all.Projections[accountType][name])
	}
	type step struct {
		index int
		value any
		meta  catalog.Meta
	}
	steps := make([]step, foldEvents)
	for i := range steps {
		event := movement(uint64(i + 1))
		value, err := decoded(account, event)
		if err != nil {
			return measured{}, err
		}
		steps[i] = step{account.EventOf(event).Index, value, catalog.Meta{Type: accountType, Key: "576", Sequence: uint64(i + 1)}}
	}
	return oneCore(ctx, func() error {
		for _, p := range projections {
			fold := p.New()
			for i := range steps {
				fold.Apply(steps[i].index, steps[i].value, &steps[i].meta)
			}
		}
		return nil
	})
}

// decoded is the event as it comes back from a store.
func decoded(entity *catalog.Entity, event es.Event) (any, error) {
	kind := entity.EventOf(event)
	data, err := json.Marshal(event)
	if err != nil {
		return nil, err
	}
	return kind.Decode(kind.Version, data)
}

// foldStored measures the same from stored bytes, as a read of an earlier state
// does it: pages of commits, each of so many appends, their frames, hashes and
// chain checked, each event decoded and folded, here into the balance.
func foldStored(appends int) func(context.Context, *lab) (measured, error) {
	return func(ctx context.Context, _ *lab) (measured, error) {
		store := stream.NewMemory()
		w := &writer{store: store, id: stream.ID{Type: accountType, Key: "576"}, event: movement}
		for w.tail.Last < foldEvents {
			entry, err := w.next(appends)
			if err != nil {
				return measured{}, err
			}
			if err := store.Insert(ctx, []stream.Entry{entry}); err != nil {
				return measured{}, err
			}
		}
		system, err := alone(store, bank.Domain(), actors.Config{})
		if err != nil {
			return measured{}, err
		}
		defer system.Close()
		last := w.tail.Last
		return oneCore(ctx, func() error {
			state, err := system.Project(ctx, w.id, "balance", actors.At{Sequence: &last})
			if err == nil && state.Sequence != last {
				err = fmt.Errorf("folded up to %d instead of %d", state.Sequence, last)
			}
			return err
		})
	}
}

// oneCore runs pass, which folds the whole stream, again and again on a single
// core, the garbage collector's work included. It counts the core's own seconds,
// so that what else the machine does is left out.
func oneCore(ctx context.Context, pass func() error) (measured, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var rates []float64
	for range rounds {
		folded := 0
		start := cpuTime()
		for cpuTime()-start < foldTime {
			if err := errors.Join(pass(), ctx.Err()); err != nil {
				return measured{}, err
			}
			folded += foldEvents
		}
		rates = append(rates, float64(folded)/(cpuTime()-start).Seconds())
	}
	return measured{value: median(rates)}, nil
}

// cpuTime is how long this process has computed, on all cores together.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // the process asks about itself
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
