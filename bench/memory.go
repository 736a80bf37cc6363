package main

import (
	"bytes"
	"context"
	"encoding/json"
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
// when so many accounts of 20 events are open. All but the last event are in
// the store already; a deposit opens the account and adds the last, so that in
// memory is what a command needs.
func openMemory(ctx context.Context, l *lab) (measured, error) {
	if err := l.unhost(ctx); err != nil {
		return measured{}, err
	}
	set, err := l.accounts(ctx, openAccounts, accountEvents-1)
	if err != nil {
		return measured{}, err
	}
	registry := prometheus.NewRegistry()
	system, err := alone(l.state, bank.Domain(), actors.Config{MaxOpen: 2 * openAccounts, Metrics: registry})
	if err != nil {
		return measured{}, err
	}
	defer system.Close()
	err = all(ctx, inFlight, openAccounts, func(ctx context.Context, n uint64) error {
		answer, err := system.Do(ctx, set[n].command("bank.deposit-money", newID()))
		if err == nil && answer.Sequence != accountEvents {
			err = fmt.Errorf("%s is at sequence %d", answer.Key, answer.Sequence)
		}
		return err
	})
	if err != nil {
		return measured{}, err
	}
	debug.FreeOSMemory()
	bytes, err := resident()
	open, errOpen := entitiesOpen(registry)
	if errOpen != nil || open < openAccounts {
		return measured{}, fmt.Errorf("only %.0f entities are open: %w", open, errOpen)
	}
	return measured{value: float64(bytes) / (1 << 20)}, err
}

// openByDefault measures how many entities are open when more than the default
// limit were asked for.
func openByDefault(ctx context.Context, l *lab) (measured, error) {
	const asked = 25_000
	if err := l.unhost(ctx); err != nil {
		return measured{}, err
	}
	set, err := l.accounts(ctx, asked, 1)
	if err != nil {
		return measured{}, err
	}
	registry := prometheus.NewRegistry()
	system, err := alone(l.state, bank.Domain(), actors.Config{Metrics: registry})
	if err != nil {
		return measured{}, err
	}
	defer system.Close()
	err = all(ctx, inFlight, asked, func(ctx context.Context, n uint64) error {
		_, err := system.Project(ctx, set[n].id, "balance", actors.At{})
		return err
	})
	if err != nil {
		return measured{}, err
	}
	open, err := entitiesOpen(registry)
	return measured{value: open}, err
}

// accounts writes new accounts of so many events to the store, each in one
// commit, and returns them as targets of a deposit.
func (l *lab) accounts(ctx context.Context, n, events int) ([]target, error) {
	prefix := newID()
	set := make([]target, n)
	var batch []stream.Entry
	size := 0
	flush := func() error {
		err := l.state.Insert(ctx, batch)
		batch, size = batch[:0], 0
		return err
	}
	for i := range set {
		key := fmt.Sprintf("%s-%d", prefix, i)
		params, err := json.Marshal(bank.Movement{Account: bank.AccountID(key), Amount: 100})
		if err != nil {
			return nil, err
		}
		set[i] = target{stream.ID{Type: accountType, Key: key}, params}
		w := writer{id: set[i].id, event: movement}
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
	return 0, fmt.Errorf("no metric says how many entities are open")
}

// resident is the memory of this process that is in RAM, in bytes.
func resident() (int, error) {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(data)
	if len(fields) < 2 {
		return 0, fmt.Errorf("/proc/self/statm is %q", data)
	}
	pages, err := strconv.Atoi(string(fields[1]))
	return pages * os.Getpagesize(), err
}
