package stream

import (
	"bytes"
	"context"
	"encoding/hex"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// sampleHead is a head with all that it can have.
func sampleHead() Head {
	c := sample()
	return Head{
		Number: 42, Hash: HashOf(c.Encode()), Last: c.Last(), At: c.At,
		Snapshots: []Snapshot{
			{Projection: "balance", Fingerprint: "f1", Sequence: c.Last(), State: []byte("12000")},
			{Projection: "last-used", Fingerprint: "f2", Sequence: 7},
			{Projection: "notes", Fingerprint: "f3", Sequence: 0, State: []byte{}},
		},
		Recent: Remember(nil, &c),
	}
}

func TestDecodeHeadReturnsWhatWasEncoded(t *testing.T) {
	for _, h := range []Head{sampleHead(), {Number: 1, At: morning}, {Number: 1<<64 - 1, Last: 1<<64 - 1, At: morning}} {
		got, err := DecodeHead(h.Encode())
		require.NoError(t, err)
		require.Equal(t, h, got)
	}
}

// Heads of format 1 are in stores. Losing them all at an upgrade would make
// every entity slow to open at once.
func TestHeadFormat1IsForEver(t *testing.T) {
	golden, err := os.ReadFile("testdata/head-1.hex")
	require.NoError(t, err)
	stored, err := hex.DecodeString(string(bytes.Join(bytes.Fields(golden), nil)))
	require.NoError(t, err)
	h := sampleHead()
	require.Equal(t, hex.Dump(stored), hex.Dump(h.Encode()))
}

func TestEveryDamagedOrCutHeadIsRefused(t *testing.T) {
	h := sampleHead()
	b := h.Encode()
	for i := range b {
		b[i] ^= 1 << (i % 8)
		_, err := DecodeHead(b)
		require.Error(t, err)
		b[i] ^= 1 << (i % 8)

		_, err = DecodeHead(b[:i])
		require.Error(t, err)
		if i < len(b)-frameTail && i >= frameHead {
			_, err = DecodeHead(seal(bytes.Clone(b[:i])))
			require.Error(t, err, "cut after %d bytes", i)
		}
	}
}

func TestACommitIsNoHead(t *testing.T) {
	c := sample()
	_, err := DecodeHead(c.Encode())
	require.Error(t, err)
	h := sampleHead()
	_, err = Decode(account, 42, h.Encode())
	requireCorrupt(t, err, account, 42)
}

func TestAHeadOfANewerFormat(t *testing.T) {
	h := sampleHead()
	b := h.Encode()
	b[frameHead-1]++
	_, err := DecodeHead(seal(b[:len(b)-frameTail]))
	require.ErrorIs(t, err, ErrFormat)
}

func TestHeadsThatContradictThemselvesAreRefused(t *testing.T) {
	for name, spoil := range map[string]func(*Head){
		"no number":                            func(h *Head) { h.Number = 0 },
		"snapshot of the future":               func(h *Head) { h.Snapshots[0].Sequence = h.Last + 1 },
		"recent id of the future":              func(h *Head) { h.Number = 41 },
		"recent id of no commit":               func(h *Head) { h.Recent[0].Commit = 0 },
		"recent id at no sequence":             func(h *Head) { h.Recent[0].First = 0 },
		"recent id with a sequence too early":  func(h *Head) { h.Recent[2].First += 2 },
		"recent id with a sequence too late":   func(h *Head) { h.Last-- },
		"recent id that ends before it begins": func(h *Head) { h.Recent[0].First = 102 },
		"snapshot that is too large":           func(h *Head) { h.Snapshots[0].State = make([]byte, MaxSnapshot+1) },
		"too many recent ids": func(h *Head) {
			for len(h.Recent) <= MaxRecent {
				h.Recent = append(h.Recent, h.Recent[2])
			}
		},
		"recent ids with a gap":       func(h *Head) { h.Recent = append(h.Recent[:1], h.Recent[2:]...) },
		"recent ids in another order": func(h *Head) { h.Recent[0].Commit, h.Recent[1].Commit = 42, 41 },
	} {
		h := sampleHead()
		spoil(&h)
		_, err := DecodeHead(h.encode(nil))
		require.ErrorIs(t, err, errHead, name)
	}
}

func TestAHeadLeavesOutWhatIsTooLarge(t *testing.T) {
	h := sampleHead()
	h.Snapshots = nil
	for i, size := range []int{10, MaxSnapshot, MaxSnapshot + 1, 20} {
		h.Snapshots = append(h.Snapshots, Snapshot{Projection: strconv.Itoa(i), State: make([]byte, size)})
	}
	got, err := DecodeHead(h.Encode())
	require.NoError(t, err)
	require.Len(t, got.Snapshots, 3)
	require.Equal(t, h.Snapshots[3], got.Snapshots[2])

	h.Snapshots = nil
	for range 20 {
		h.Snapshots = append(h.Snapshots, Snapshot{State: make([]byte, MaxSnapshot)})
	}
	b := h.Encode()
	require.Less(t, len(b), MaxBatch+4096)
	got, err = DecodeHead(b)
	require.NoError(t, err)
	require.Len(t, got.Snapshots, 12)
}

func TestRemember(t *testing.T) {
	c := sample()
	require.Equal(t, []RecentID{
		{ID: "c-1/pay", ParamsHash: [16]byte{1, 2, 3}, Commit: 42, First: 99, Last: 100},
		{ID: "c-2/pay", ParamsHash: [16]byte{1, 2, 3}, Commit: 42, First: 101, Last: 101},
		{ID: "c-3/settle", Commit: 42, First: 102, Last: 101},
	}, Remember(nil, &c))
	void := Commit{Stream: account, Number: 1, First: 1}
	require.Empty(t, Remember(nil, &void))
}

// An owner keeps remembering while a head that it made earlier is being written.
func TestRememberLeavesEarlierHeadsAlone(t *testing.T) {
	w := newWriter(t)
	w.ones(MaxRecent + 10)
	head := w.head()
	before := head.Encode()
	w.ones(3 * MaxRecent)
	require.Equal(t, before, head.Encode())
	require.Len(t, w.recent, MaxRecent)
	require.Equal(t, w.tail.Number, w.recent[MaxRecent-1].Commit)
	require.Equal(t, w.tail.Number-MaxRecent+1, w.recent[0].Commit)
	require.LessOrEqual(t, cap(w.recent), 4*MaxRecent)
}

func TestReadHead(t *testing.T) {
	w := newWriter(t)
	w.write(1, 3, 0, -1)
	got, err := w.reader().Head(context.Background(), account)
	require.NoError(t, err)
	require.Nil(t, got)

	head := w.head()
	w.putHead(head)
	calls := w.calls(func() { got, err = w.reader().Head(context.Background(), account) })
	require.NoError(t, err)
	require.Equal(t, &head, got)
	require.Equal(t, 1, calls)

	require.NoError(t, w.store.Put(context.Background(), Entry{Key: account.HeadKey(), Value: []byte("nonsense")}))
	got, err = w.reader().Head(context.Background(), account)
	require.NoError(t, err)
	require.Nil(t, got)
}

// Whatever an owner writes, its head can be read back.
func TestTrueHeadsAreAccepted(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWriter(t)
		w.step = time.Microsecond
		w.write(rapid.SliceOfN(rapid.SampledFrom([]int{1, -1, 0, 2, 140}), 1, 20).Draw(rt, "commits")...)
		head := w.head()
		got, err := DecodeHead(head.Encode())
		require.NoError(rt, err)
		if len(head.Recent) == 0 {
			head.Recent = nil
		}
		require.Equal(rt, head, got)
	})
}
