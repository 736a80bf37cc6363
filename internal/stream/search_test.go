package stream

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestFindSequence(t *testing.T) {
	w := newWriter(t)
	w.write(-1, 3, 0, -1, 1, 105, 0, -1) // 2: 1 to 3, 5: 4, 6: 5 to 9
	for sequence, want := range map[uint64]uint64{0: 0, 1: 2, 2: 2, 3: 2, 4: 5, 5: 6, 9: 6, 10: 0, math.MaxUint64: 0} {
		number, ok, err := w.reader().FindSequence(context.Background(), account, sequence)
		require.NoError(t, err)
		require.Equal(t, want, number, "sequence %d", sequence)
		require.Equal(t, want != 0, ok)
	}
}

func TestFindInAnEmptyStream(t *testing.T) {
	w := newWriter(t)
	_, ok, err := w.reader().FindSequence(context.Background(), account, 1)
	require.NoError(t, err)
	require.False(t, ok)
	number, err := w.reader().FindTime(context.Background(), account, morning)
	require.NoError(t, err)
	require.Zero(t, number)
}

func TestFindTime(t *testing.T) {
	w := newWriter(t)
	w.write(1)
	w.step = time.Second
	w.write(1) // 2 and 3 at 1 s
	w.step = 0
	w.write(1)
	w.step = time.Second
	w.write(-1, 1) // 4 at 2 s, 5 to 7 at 3 s
	w.step = 0
	w.write(0, 1)
	for _, head := range []bool{false, true} {
		if head {
			w.putHead(w.head())
		}
		for after, want := range map[time.Duration]uint64{
			-time.Hour:                       0,
			-time.Microsecond:                0,
			0:                                1,
			time.Second - time.Microsecond:   1,
			time.Second:                      3,
			time.Second + time.Nanosecond:    3,
			2 * time.Second:                  4,
			3*time.Second - time.Microsecond: 4,
			3 * time.Second:                  7,
			time.Hour:                        7,
		} {
			number, err := w.reader().FindTime(context.Background(), account, morning.Add(after))
			require.NoError(t, err)
			require.Equal(t, want, number, "%s after the first", after)
		}
	}
}

// Whatever the commits hold and whatever the head says, a search finds what
// looking at every commit finds.
func TestFindAgreesWithLookingAtEveryCommit(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWriter(t)
		type span struct {
			last uint64
			at   time.Time
		}
		var spans []span
		for _, n := range rapid.SliceOfN(rapid.SampledFrom([]int{1, 1, 1, -1, 0, 2, 9, 103}), 0, 200).Draw(rt, "commits") {
			w.step = time.Duration(rapid.IntRange(0, 2).Draw(rt, "step")) * time.Second
			w.write(n)
			c := w.tail
			spans = append(spans, span{last: c.Last, at: c.At})
		}
		if rapid.Bool().Draw(rt, "head") {
			head := w.head()
			head.Number, head.Recent = rapid.OneOf(rapid.Uint64Range(1, 300), rapid.Uint64Min(1)).Draw(rt, "number"), nil
			w.putHead(head)
		}
		sequence := rapid.Uint64Range(0, w.tail.Last+2).Draw(rt, "sequence")
		at := morning.Add(time.Duration(rapid.IntRange(-1, 401).Draw(rt, "seconds")) * time.Second)
		var holds, before uint64
		for i, s := range spans {
			if holds == 0 && sequence > 0 && s.last >= sequence {
				holds = uint64(i) + 1
			}
			if !s.at.After(at) {
				before = uint64(i) + 1
			}
		}
		number, ok, err := w.reader().FindSequence(context.Background(), account, sequence)
		require.NoError(rt, err)
		require.Equal(rt, holds, number)
		require.Equal(rt, holds != 0, ok)
		number, err = w.reader().FindTime(context.Background(), account, at)
		require.NoError(rt, err)
		require.Equal(rt, before, number)
	})
}

func TestFindTakesFewCalls(t *testing.T) {
	singles, triples := newWriter(t), newWriter(t)
	singles.ones(9_984)
	singles.putHead(singles.head())
	singles.ones(16)
	for range 10_000 {
		triples.write(3)
	}
	for _, test := range []struct {
		name  string
		w     *writer
		find  func(Reader) (uint64, error)
		want  uint64
		calls int
	}{
		{"sequence among single events", singles, sequence(7_000), 7_000, 1},
		{"last sequence", singles, sequence(10_000), 10_000, 1},
		{"sequence after the last", singles, sequence(10_001), 0, 2},
		{"sequence among triples", triples, sequence(15_000), 5_000, 4},
		{"last sequence of triples", triples, sequence(30_000), 10_000, 5},
		{"time at the end, with a head", singles, moment(9_999), 10_000, 4},
		{"time at the start, with a head", singles, moment(0), 1, 3},
		{"time in the middle, with a head", singles, moment(5_000), 5_001, 5},
		{"time in the middle, without", triples, moment(5_000), 5_001, 5},
		{"time at the end, without", triples, moment(9_999), 10_000, 6},
	} {
		t.Run(test.name, func(t *testing.T) {
			calls := test.w.calls(func() {
				number, err := test.find(test.w.reader())
				require.NoError(t, err)
				require.Equal(t, test.want, number)
			})
			require.LessOrEqual(t, calls, test.calls)
		})
	}
}

func sequence(n uint64) func(Reader) (uint64, error) {
	return func(r Reader) (uint64, error) {
		number, _, err := r.FindSequence(context.Background(), account, n)
		return number, err
	}
}

func moment(seconds int) func(Reader) (uint64, error) {
	return func(r Reader) (uint64, error) {
		return r.FindTime(context.Background(), account, morning.Add(time.Duration(seconds)*time.Second))
	}
}

// A search that meets a hole must not take it for the end.
func TestSearchNoticesAMissingCommit(t *testing.T) {
	for lost := uint64(1); lost < 200; lost++ {
		w := newWriter(t)
		w.ones(200)
		w.store.Delete(account.CommitKey(lost))
		_, _, err := w.reader().FindSequence(context.Background(), account, lost)
		requireCorrupt(t, err, account, lost)
		number, err := w.reader().FindTime(context.Background(), account, w.tail.At.Add(time.Duration(int(lost)-200)*time.Second))
		if err != nil {
			requireCorrupt(t, err, account, lost)
			continue
		}
		require.Equal(t, lost, number, "it did not look at the hole")
	}
}

func TestSearchNoticesAWideHole(t *testing.T) {
	w := newWriter(t)
	w.ones(300)
	for n := uint64(5); n <= 295; n++ {
		w.store.Delete(account.CommitKey(n))
	}
	_, _, err := w.reader().FindSequence(context.Background(), account, 296)
	requireCorrupt(t, err, account, 16) // the first that it looks at
}

func TestSearchNoticesDamage(t *testing.T) {
	w := newWriter(t)
	w.ones(50)
	w.damage(20)
	_, _, err := w.reader().FindSequence(context.Background(), account, 20)
	requireCorrupt(t, err, account, 20)
}

func TestSearchNoticesSequencesThatNobodyHolds(t *testing.T) {
	w := newWriter(t)
	w.ones(3)
	c := w.next(deposit("x", 1))
	c.First = 6 // 4 and 5 are nowhere
	w.put(c)
	_, _, err := w.reader().FindSequence(context.Background(), account, 5)
	requireCorrupt(t, err, account, 4)
}

// A commit that appears between two keys of a call is no hole.
func TestSearchWhileCommitsAreWritten(t *testing.T) {
	w := newWriter(t)
	w.ones(200)
	first := true
	racing := &racing{Memory: w.store, tear: func(keys []string, values [][]byte) {
		for i, key := range keys {
			if key == account.CommitKey(100) && first {
				values[i], first = nil, false
			}
		}
	}}
	number, ok, err := Reader{Store: racing}.FindSequence(context.Background(), account, 100)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, uint64(100), number)
}

func TestProbesLieWithinTheirBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		low := rapid.Uint64Max(math.MaxUint64-2).Draw(t, "low")
		high := rapid.Uint64Min(low+2).Draw(t, "high")
		last := low
		for _, n := range between(low, high) {
			require.Greater(t, n, last)
			last = n
		}
		require.Less(t, last, high)
		require.Greater(t, last, low)

		last = 0
		for _, n := range spread(low) {
			require.Greater(t, n, last)
			last = n
		}
		require.Less(t, last, uint64(math.MaxUint64))
	})
}
