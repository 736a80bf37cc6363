// Package streamtest is the conformance suite of stream.Store. A store that
// passes it can carry streams; the one in memory passes it too.
package streamtest

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/internal/stream"
)

// Run tests the stores that open returns, one for each test. They may share
// what is below them, and it may hold data of earlier runs: every test uses
// streams of its own.
func Run(t *testing.T, open func(t *testing.T) stream.Store) {
	for _, test := range []struct {
		name string
		run  func(*suite)
	}{
		{"traits", (*suite).traits},
		{"insert and read", (*suite).insertAndRead},
		{"insert if absent", (*suite).insertIfAbsent},
		{"one winner of many", (*suite).oneWinner},
		{"one winner of many groups", (*suite).oneWinnerOfGroups},
		{"all or nothing", (*suite).allOrNothing},
		{"as many entries as the traits say", (*suite).fullInsert},
		{"order of entries", (*suite).orderOfEntries},
		{"opaque values", (*suite).opaqueValues},
		{"odd keys", (*suite).oddKeys},
		{"read many", (*suite).readMany},
		{"read with absent keys", (*suite).readAbsent},
		{"read a large answer", (*suite).readLarge},
		{"put", (*suite).put},
		{"cancelled context", (*suite).cancelled},
		{"a stream", (*suite).aStream},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.run(&suite{T: t, Store: open(t), ctx: t.Context()})
		})
	}
}

// suite is one test of one store.
type suite struct {
	*testing.T
	stream.Store
	ctx context.Context
}

// entry makes the entry of a commit key.
func entry(id stream.ID, n uint64, value []byte) stream.Entry {
	return stream.Entry{Key: id.CommitKey(n), Value: value, Partition: id.Partition()}
}

// entries makes n entries with different values: of one stream, or each of a
// stream of its own if the store can insert across partitions.
func (s *suite) entries(n int) []stream.Entry {
	id := fresh()
	all := make([]stream.Entry, n)
	for i := range all {
		if i > 0 && s.Traits().Across {
			id = fresh()
		}
		all[i] = entry(id, uint64(i)+1, fmt.Appendf(nil, "value %d", i))
	}
	return all
}

// insert inserts entries that must be insertable.
func (s *suite) insert(entries ...stream.Entry) {
	s.Helper()
	require.NoError(s, s.Insert(s.ctx, entries))
}

// read reads the keys of entries.
func (s *suite) read(entries ...stream.Entry) [][]byte {
	s.Helper()
	keys := make([]string, len(entries))
	for i, e := range entries {
		keys[i] = e.Key
	}
	return s.readKeys(keys)
}

func (s *suite) readKeys(keys []string) [][]byte {
	s.Helper()
	values, err := s.Read(s.ctx, keys)
	require.NoError(s, err)
	require.Len(s, values, len(keys))
	return values
}

// holds asserts that the entries are stored as they are.
func (s *suite) holds(entries ...stream.Entry) {
	s.Helper()
	for i, value := range s.read(entries...) {
		s.same(entries[i].Value, value, entries[i].Key)
	}
}

// lacks asserts that none of the keys is there.
func (s *suite) lacks(entries ...stream.Entry) {
	s.Helper()
	for i, value := range s.read(entries...) {
		require.Nil(s, value, "key %s", entries[i].Key)
	}
}

// same compares values without printing megabytes.
func (s *suite) same(want, got []byte, key string) {
	s.Helper()
	require.NotNil(s, got, "key %s is absent", key)
	if !bytes.Equal(want, got) {
		require.Fail(s, "another value", "key %s: want %d bytes %.40q, got %d bytes %.40q", key, len(want), want, len(got), got)
	}
}

func (s *suite) traits() {
	traits := s.Traits()
	require.NotEmpty(s, traits.Name)
	require.GreaterOrEqual(s, traits.MaxOps, 1)
	require.Equal(s, traits, s.Traits(), "they do not change")
}
