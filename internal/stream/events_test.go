package stream

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEvents(t *testing.T) {
	w := newWriter(t)
	w.write(-1, 3, 0, 1, 103, -1) // 2: 1 to 3, 4: 4, 5: 5 to 7
	for _, test := range []struct {
		from  uint64
		limit int
		got   []uint64
		next  uint64
	}{
		{0, 0, numbers(1, 7), 0},
		{1, 100, numbers(1, 7), 0},
		{1, 7, numbers(1, 7), 0},
		{1, 6, numbers(1, 6), 7},
		{1, 1, numbers(1, 1), 2},
		{2, 2, numbers(2, 3), 4},
		{3, 1, numbers(3, 3), 4},
		{4, 1, numbers(4, 4), 5},
		{6, 1, numbers(6, 6), 7},
		{7, 1, numbers(7, 7), 0},
		{8, 10, nil, 0},
		{99, 10, nil, 0},
	} {
		events, next, err := w.reader().Events(context.Background(), account, test.from, test.limit)
		require.NoError(t, err)
		require.Equal(t, test.next, next, "%+v", test)
		var got []uint64
		for _, e := range events {
			got = append(got, e.Sequence)
		}
		require.Equal(t, test.got, got, "%+v", test)
	}
}

func TestEventsSayHowTheyWereWritten(t *testing.T) {
	w := newWriter(t)
	w.write(2)
	a, settled, b := deposit("a", 1), Append{ID: "settled"}, deposit("b", 1)
	b.Context.Who = "grace"
	c := w.put(w.next(a, settled, b))
	events, _, err := w.reader().Events(context.Background(), account, 3, 10)
	require.NoError(t, err)
	require.Equal(t, []Recorded{
		{Sequence: 3, Event: a.Events[0], Context: a.Context, At: c.At, Commit: 2, CommitID: c.ID, AppendID: "a"},
		{Sequence: 4, Event: b.Events[0], Context: b.Context, At: c.At, Commit: 2, CommitID: c.ID, AppendID: "b"},
	}, events)
}

// An answer travels in one message; what does not fit is the next answer's.
func TestEventsAreCutAtTheSizeOfAnAnswer(t *testing.T) {
	w := newWriter(t)
	for range 8 {
		a := deposit("a", 1)
		a.Events[0].Data = make([]byte, 900<<10)
		w.put(w.next(a))
	}
	pages := [][]uint64{}
	for from := uint64(1); from != 0; {
		events, next, err := w.reader().Events(context.Background(), account, from, 100)
		require.NoError(t, err)
		page, size := []uint64{}, 0
		for _, e := range events {
			page = append(page, e.Sequence)
			size += len(e.Event.Data)
		}
		require.LessOrEqual(t, size, MaxBatch)
		pages, from = append(pages, page), next
	}
	require.Equal(t, [][]uint64{{1, 2, 3}, {4, 5, 6}, {7, 8}}, pages)
}

func TestOneEventAboveTheSizeOfAnAnswerIsStillGiven(t *testing.T) {
	w := newWriter(t)
	a := deposit("a", 1)
	a.Events[0].Data = make([]byte, MaxBatch+1)
	w.put(w.next(a))
	w.write(1)
	events, next, err := w.reader().Events(context.Background(), account, 1, 100)
	require.NoError(t, err)
	require.Len(t, events, 1)
	require.Equal(t, uint64(2), next)
}

func TestEventsOfACorruptStream(t *testing.T) {
	w := newWriter(t)
	w.ones(10)
	w.damage(5)
	events, _, err := w.reader().Events(context.Background(), account, 1, 4)
	requireCorrupt(t, err, account, 5) // it must know whether there is a fifth
	require.Empty(t, events)
	_, _, err = w.reader().Events(context.Background(), account, 1, 3)
	require.NoError(t, err)
	_, _, err = w.reader().Events(context.Background(), account, 5, 1)
	requireCorrupt(t, err, account, 5)
}
