package stream

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// writer writes a stream the way its owner does.
type writer struct {
	t      testing.TB
	store  *Memory
	id     ID
	tail   Tail
	recent []RecentID
	step   time.Duration // between two commits
}

func newWriter(t testing.TB) *writer { return newWriterOf(t, NewMemory(), account) }

func newWriterOf(t testing.TB, store *Memory, id ID) *writer {
	return &writer{t: t, store: store, id: id, step: time.Second}
}

func (w *writer) reader() Reader { return Reader{Store: w.store} }

// next is the commit that would follow.
func (w *writer) next(appends ...Append) Commit {
	at := morning
	if w.tail.Number > 0 {
		at = w.tail.At.Add(w.step)
	}
	n := w.tail.Number + 1
	return Commit{
		Stream: w.id, Number: n, ID: [16]byte{byte(n >> 8), byte(n)},
		First: w.tail.Last + 1, Prev: w.tail.Hash, At: at, Appends: appends,
	}
}

// put writes c, right or wrong, and goes on from it.
func (w *writer) put(c Commit) Raw {
	b := c.Encode()
	require.NoError(w.t, w.store.Put(context.Background(), Entry{Key: w.id.CommitKey(c.Number), Value: b}))
	raw := Raw{Commit: c, Bytes: b, Hash: HashOf(b)}
	w.tail = tailOf(&raw)
	w.recent = Remember(w.recent, &c)
	return raw
}

// write writes one commit for each count: that many events in one append; 0 is
// a settlement, -1 a void commit, 100+n are n coalesced appends of one event.
func (w *writer) write(counts ...int) {
	for _, n := range counts {
		var appends []Append
		switch id := "c-" + strconv.FormatUint(w.tail.Number+1, 10); {
		case n > 100:
			for k := range n - 100 {
				appends = append(appends, deposit(id+"/"+strconv.Itoa(k), 1))
			}
		case n >= 0:
			appends = []Append{deposit(id, n)}
		}
		w.put(w.next(appends...))
	}
}

// ones writes n commits of one event each.
func (w *writer) ones(n int) {
	for range n {
		w.write(1)
	}
}

// head is the true head of what was written.
func (w *writer) head() Head {
	return Head{
		Number: w.tail.Number, Hash: w.tail.Hash, Last: w.tail.Last, At: w.tail.At, Recent: w.recent,
		Snapshots: []Snapshot{{Projection: "balance", Fingerprint: "f1", Sequence: w.tail.Last, State: []byte("7")}},
	}
}

func (w *writer) putHead(h Head) {
	require.NoError(w.t, w.store.Put(context.Background(), Entry{Key: w.id.HeadKey(), Value: h.Encode()}))
}

// damage flips a bit in the middle of commit n.
func (w *writer) damage(n uint64) {
	key := w.id.CommitKey(n)
	values, err := w.store.Read(context.Background(), []string{key})
	require.NoError(w.t, err)
	values[0][len(values[0])/2] ^= 1
	require.NoError(w.t, w.store.Put(context.Background(), Entry{Key: key, Value: values[0]}))
}

// calls counts the store's reads that f makes.
func (w *writer) calls(f func()) int {
	before := w.store.Calls().Read
	f()
	return w.store.Calls().Read - before
}

// collect returns the numbers of a run's commits and the error that ended it.
func collect(run func(func(Raw, error) bool)) (numbers []uint64, err error) {
	for raw, e := range run {
		if e != nil {
			return numbers, e
		}
		numbers = append(numbers, raw.Number)
	}
	return numbers, nil
}

// numbers is from..to.
func numbers(from, to uint64) (all []uint64) {
	for n := from; n <= to; n++ {
		all = append(all, n)
	}
	return all
}
