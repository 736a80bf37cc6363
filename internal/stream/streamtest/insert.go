package streamtest

import (
	"fmt"
	"slices"
	"sync"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/internal/stream"
)

// rivals is how many callers insert the same key at once.
const rivals = 64

func (s *suite) insertAndRead() {
	id := fresh()
	first, second := entry(id, 1, []byte("first")), entry(id, 2, []byte("second"))
	s.lacks(first, second)
	s.insert(first)
	s.holds(first)
	s.lacks(second)
	s.insert(second)
	s.holds(first, second)
}

// A key that exists is refused and keeps its value, even if the value that is
// offered is the same: a repeated insert must not look like a first one.
func (s *suite) insertIfAbsent() {
	e := entry(fresh(), 1, []byte("first"))
	s.insert(e)
	for _, value := range []string{"second", "first", ""} {
		require.Error(s, s.Insert(s.ctx, []stream.Entry{{Key: e.Key, Value: []byte(value), Partition: e.Partition}}))
		s.holds(e)
	}
}

// Of many inserts of one key at the same time one alone is told that it
// succeeded, and it is its value that is there.
func (s *suite) oneWinner() {
	id := fresh()
	winners := s.race(func(i int) []stream.Entry {
		return []stream.Entry{entry(id, 1, fmt.Appendf(nil, "rival %d", i))}
	})
	stored := string(s.read(entry(id, 1, nil))[0])
	var known []string
	for i := range rivals {
		known = append(known, fmt.Sprintf("rival %d", i))
	}
	require.Contains(s, known, stored)
	require.LessOrEqual(s, len(winners), 1, "these were told that they won: %v", winners)
	for _, i := range winners {
		require.Equal(s, fmt.Sprintf("rival %d", i), stored)
	}
}

// The same with groups that share one key out of three.
func (s *suite) oneWinnerOfGroups() {
	if s.Traits().MaxOps < 3 || !s.Traits().Rollback {
		s.Skip("the store has no groups")
	}
	id := fresh()
	group := func(i int) []stream.Entry {
		value := fmt.Appendf(nil, "rival %d", i)
		return []stream.Entry{entry(id, 1000+uint64(i), value), entry(id, 1, value), entry(id, 2000+uint64(i), value)}
	}
	winners := s.race(group)
	stored := s.read(entry(id, 1, nil))[0]
	require.NotNil(s, stored)
	require.LessOrEqual(s, len(winners), 1, "these were told that they won: %v", winners)
	for i := range rivals {
		if string(stored) == fmt.Sprintf("rival %d", i) {
			s.holds(group(i)...)
			continue
		}
		require.NotContains(s, winners, i)
		s.lacks(group(i)[0], group(i)[2])
	}
}

// race lets all rivals insert at once and returns those that were told that
// they succeeded.
func (s *suite) race(entries func(i int) []stream.Entry) (winners []int) {
	start := make(chan struct{})
	var (
		wg sync.WaitGroup
		mu sync.Mutex
	)
	for i := range rivals {
		wg.Go(func() {
			<-start
			if s.Insert(s.ctx, entries(i)) == nil {
				mu.Lock()
				defer mu.Unlock()
				winners = append(winners, i)
			}
		})
	}
	close(start)
	wg.Wait()
	return winners
}

// One key that exists, wherever in the insert it stands, refuses all of it. A
// store without rollback may write the others, but never that one.
func (s *suite) allOrNothing() {
	size := min(5, s.Traits().MaxOps)
	for position := range size {
		entries := s.entries(size)
		taken := entries[position]
		taken.Value = []byte("was here before")
		s.insert(taken)
		require.Error(s, s.Insert(s.ctx, entries), "conflict at %d", position)
		s.holds(taken)
		rest := slices.Delete(entries, position, position+1)
		if !s.Traits().Rollback {
			continue
		}
		s.lacks(rest...)
		if len(rest) > 0 {
			s.insert(rest...)
			s.holds(rest...)
		}
	}
}

func (s *suite) fullInsert() {
	entries := s.entries(min(s.Traits().MaxOps, 500))
	s.insert(entries...)
	s.holds(entries...)
}

// Entries may come in any order of their keys.
func (s *suite) orderOfEntries() {
	entries := s.entries(min(20, s.Traits().MaxOps))
	slices.SortFunc(entries, func(a, b stream.Entry) int { // descending
		if a.Key > b.Key {
			return -1
		}
		return 1
	})
	s.insert(entries...)
	s.holds(entries...)
	slices.Reverse(entries)
	s.holds(entries...)
	require.Error(s, s.Insert(s.ctx, entries))
}
