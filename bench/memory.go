package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/app/bank"
	"github.com/longrun-dev/longrun/internal/stream"
)

const (
	openAccounts  = 100_000
	accountEvents = 20 // of each
)

// openMemory measures the resident memory of this process, after a collection,
// when so many accounts of 20 events are open. They are written to the store
// and opened from there.
func openMemory(ctx context.Context, l *lab) (measured, error) {
	var m measured
	err := l.opened(ctx, openAccounts, accountEvents, 2*openAccounts, func(open float64) error {
		if open < openAccounts {
			return fmt.Errorf("only %.0f entities are open", open)
		}
		debug.FreeOSMemory()
		bytes, err := resident("self")
		m.value = float64(bytes) / (1 << 20)
		return err
	})
	return m, err
}

// openByDefault measures how many entities are open when more than the default
// limit were asked for.
func openByDefault(ctx context.Context, l *lab) (measured, error) {
	var m measured
	err := l.opened(ctx, 25_000, 1, 0, func(open float64) error {
		m.value = open
		return nil
	})
	return m, err
}

// opened opens new accounts of so many events in a System of its own, and calls
// look with how many are open then. A maxOpen of 0 is the default.
func (l *lab) opened(ctx context.Context, n, events, maxOpen int, look func(open float64) error) error {
	if err := l.unhost(ctx); err != nil {
		return err
	}
	accounts, err := l.accounts(ctx, n, events)
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	system, err := alone(l.state, bank.Domain(), actors.Config{MaxOpen: maxOpen, Metrics: registry})
	if err != nil {
		return err
	}
	defer system.Close()
	err = all(ctx, inFlight, uint64(n), func(ctx context.Context, i uint64) error {
		_, err := system.Project(ctx, accounts[i], "balance", actors.At{})
		return err
	})
	if err != nil {
		return err
	}
	open, err := entitiesOpen(registry)
	if err != nil {
		return err
	}
	return look(open)
}

// accounts writes n new accounts of so many events to the store, each in one
// commit.
func (l *lab) accounts(ctx context.Context, n, events int) ([]stream.ID, error) {
	prefix := newID()
	set := make([]stream.ID, n)
	var batch []stream.Entry
	size := 0
	flush := func() error {
		err := l.state.Insert(ctx, batch)
		batch, size = batch[:0], 0
		return err
	}
	for i := range set {
		set[i] = stream.ID{Type: accountType, Key: fmt.Sprintf("%s-%d", prefix, i)}
		w := writer{id: set[i], event: movement}
		entry, err := w.next(events)
		if err != nil {
			return nil, err
		}
		batch = append(batch, entry)
		size += len(entry.Key) + len(entry.Value)
		if size > stream.MaxBatch*3/4 || len(batch) == l.state.Traits().MaxOps {
			if err := flush(); err != nil {
				return nil, err
			}
		}
	}
	return set, flush()
}

// entitiesOpen reads the gauge that every System has.
func entitiesOpen(registry *prometheus.Registry) (float64, error) {
	families, err := registry.Gather()
	if err != nil {
		return 0, err
	}
	for _, f := range families {
		if f.GetName() == "longrun_entities_open" {
			return f.GetMetric()[0].GetGauge().GetValue(), nil
		}
	}
	return 0, errors.New("no metric says how many entities are open")
}

// resident is the memory of a process that is in RAM, in bytes. The process is
// its id, or "self".
func resident(process string) (int, error) {
	name := "/proc/" + process + "/statm"
	data, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(data)
	if len(fields) < 2 {
		return 0, fmt.Errorf("%s is %q", name, data)
	}
	pages, err := strconv.Atoi(string(fields[1]))
	return pages * os.Getpagesize(), err
}
