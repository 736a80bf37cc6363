package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"time"

	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/internal/stream"
)

// writer writes a stream straight to a store, as its owner would have.
type writer struct {
	store stream.Store
	id    stream.ID
	event func(sequence uint64) es.Event
	tail  stream.Tail
}

// write adds commits of one event.
func (w *writer) write(ctx context.Context, commits int) error {
	for commits > 0 {
		n := min(commits, w.store.Traits().MaxOps)
		entries := make([]stream.Entry, n)
		for i := range entries {
			entry, err := w.next(1)
			if err != nil {
				return err
			}
			entries[i] = entry
		}
		if err := w.store.Insert(ctx, entries); err != nil {
			return err
		}
		commits -= n
	}
	return nil
}

// next makes the next commit, of so many appends of one event each.
func (w *writer) next(appends int) (stream.Entry, error) {
	c := stream.Commit{
		Stream: w.id, Number: w.tail.Number + 1, First: w.tail.Last + 1, Prev: w.tail.Hash,
		At: time.Now().UTC().Truncate(time.Microsecond),
	}
	_, _ = rand.Read(c.ID[:]) // never fails
	for i := range appends {
		event := w.event(c.First + uint64(i))
		data, err := json.Marshal(event)
		if err != nil {
			return stream.Entry{}, err
		}
		id := newID()
		c.Appends = append(c.Appends, stream.Append{
			ID:      id + "/step",
			Context: stream.Context{Source: "bench", CorrelationID: id, Schema: "0123456789abcdef"},
			Events:  []stream.Event{{Name: event.EventName(), Version: 1, Data: data}},
			Result:  []byte("340100"),
		})
	}
	value := c.Encode()
	w.tail = stream.Tail{Number: c.Number, Hash: stream.HashOf(value), Last: c.Last(), At: c.At}
	return stream.Entry{Key: w.id.CommitKey(c.Number), Value: value, Partition: w.id.Partition()}, nil
}
