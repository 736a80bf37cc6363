package stream

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestVerifyOfASoundStream(t *testing.T) {
	for _, test := range []struct {
		name    string
		commits []int
		head    int // written after so many commits
		want    Report
	}{
		{"empty", nil, 0, Report{OK: true}},
		{"one event", []int{1}, 0, Report{OK: true, Commits: 1, Events: 1}},
		{"all kinds of commits", []int{-1, 3, 0, 1, 105, -1}, 0, Report{OK: true, Commits: 6, Events: 9}},
		{"with a head", []int{1, 3, 0}, 3, Report{OK: true, Commits: 3, Events: 4, Head: 3}},
		{"with an old head", []int{1, 3, 0, 350, 1, 1}, 4, Report{OK: true, Commits: 6, Events: 256, Head: 4}},
		{"only void", []int{-1}, 1, Report{OK: true, Commits: 1, Head: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWriter(t)
			for i, n := range test.commits {
				w.write(n)
				if i+1 == test.head {
					w.putHead(w.head())
				}
			}
			report, err := w.reader().Verify(context.Background(), account)
			require.NoError(t, err)
			require.Equal(t, test.want, report)
		})
	}
}

func TestVerifyNamesWhatIsWrong(t *testing.T) {
	ctx := context.Background()
	for _, test := range []struct {
		name    string
		spoil   func(*writer)
		problem string
		commits uint64
	}{
		{"damage", func(w *writer) { w.damage(7) }, "commit 7: the checksum", 6},
		{"a missing commit", func(w *writer) { w.store.Delete(account.CommitKey(9)) }, "commit 9: it is missing", 8},
		{"a missing first commit", func(w *writer) { w.store.Delete(account.CommitKey(1)) }, "commit 1: it is missing", 0},
		{"many missing commits", func(w *writer) {
			for n := uint64(10); n < 45; n++ {
				w.store.Delete(account.CommitKey(n))
			}
			w.ones(29) // as many follow as are missing
		}, "commit 10: it is missing", 9},
		{"a time that runs back", func(w *writer) {
			c := w.next(deposit("x", 1))
			c.At = w.tail.At.Add(-time.Microsecond)
			w.put(c)
			w.ones(2)
		}, "commit 51: its time", 50},
		{"a gap in the sequences", func(w *writer) {
			c := w.next(deposit("x", 1))
			c.First++
			w.put(c)
		}, "commit 51: its first sequence", 50},
		{"a rewritten commit", func(w *writer) {
			c := Commit{Stream: account, Number: 20, First: 20, At: morning, Appends: []Append{deposit("mine", 1)}}
			require.NoError(w.t, w.store.Put(ctx, Entry{Key: account.CommitKey(20), Value: c.Encode()}))
		}, "commit 20: it does not carry the hash", 19},
		{"a damaged head", func(w *writer) {
			require.NoError(w.t, w.store.Put(ctx, Entry{Key: account.HeadKey(), Value: []byte("nonsense")}))
		}, "head of bank.account/576: not a value of this kind", 50},
		{"a head of a lost commit", func(w *writer) {
			w.write(1)
			w.putHead(w.head())
			w.store.Delete(account.CommitKey(51))
		}, "head of bank.account/576: commit 51 does not exist", 50},
		{"a head with another hash", func(w *writer) {
			h := w.head()
			h.Hash[5]++
			w.putHead(h)
		}, "does not describe commit 50", 50},
		{"a head with another last sequence", func(w *writer) {
			h := w.head()
			h.Last++
			w.putHead(h)
		}, "does not describe commit 50", 50},
		{"a head with another recent id", func(w *writer) {
			h := w.head()
			h.Recent[3].ID = "never happened"
			w.putHead(h)
		}, "recent ids", 50},
		{"a head with another parameter hash", func(w *writer) {
			h := w.head()
			h.Recent[49].ParamsHash[0]++
			w.putHead(h)
		}, "recent ids", 50},
		{"a head with an id too many", func(w *writer) {
			h := w.head()
			h.Recent = append([]RecentID{{ID: "never happened", Commit: 1, First: 1}}, h.Recent...)
			w.putHead(h)
		}, "recent ids", 50},
		{"a head that forgot its newest id", func(w *writer) {
			h := w.head()
			h.Recent = h.Recent[:49]
			w.putHead(h)
		}, "recent ids", 50},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWriter(t)
			w.ones(50)
			test.spoil(w)
			report, err := w.reader().Verify(ctx, account)
			require.NoError(t, err)
			require.False(t, report.OK)
			require.Contains(t, report.Problem, test.problem)
			require.Equal(t, test.commits, report.Commits)
			require.Equal(t, test.commits, report.Events)
		})
	}
}

// What a newer release wrote is not wrong, but this one cannot tell.
func TestVerifyOfANewerFormat(t *testing.T) {
	ctx := context.Background()
	newer := func(w *writer, key string) {
		values, err := w.store.Read(ctx, []string{key})
		require.NoError(t, err)
		b := values[0]
		b[frameHead-1]++
		require.NoError(t, w.store.Put(ctx, Entry{Key: key, Value: seal(b[:len(b)-frameTail])}))
	}
	for _, key := range []string{account.CommitKey(2), account.HeadKey()} {
		w := newWriter(t)
		w.ones(3)
		w.putHead(w.head())
		newer(w, key)
		_, err := w.reader().Verify(ctx, account)
		require.ErrorIs(t, err, ErrFormat)
	}
}

// A stream may grow while it is verified.
func TestVerifyWhileCommitsAreWritten(t *testing.T) {
	w := newWriter(t)
	w.ones(30)
	w.putHead(w.head())
	busy := false
	w.store.SetHooks(Hooks{BeforeRead: func([]string) error {
		if !busy {
			busy = true
			w.ones(3)
			w.putHead(w.head())
			busy = false
		}
		return nil
	}})
	report, err := w.reader().Verify(context.Background(), account)
	require.NoError(t, err)
	require.True(t, report.OK, report.Problem)
	require.GreaterOrEqual(t, report.Commits, uint64(33))
}
