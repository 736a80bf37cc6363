package stream

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// sample has everything that a commit can have: shared strings, an append with
// several events, a settlement, nil and empty bytes.
func sample() Commit {
	c := Commit{
		Stream: account, Number: 42, ID: [16]byte{0xc0, 15: 0x01}, First: 99, Prev: HashOf([]byte("41")),
		At:      morning.Add(1234567 * time.Microsecond),
		Appends: []Append{deposit("c-1/pay", 2), deposit("c-2/pay", 1), {ID: "c-3/settle"}},
	}
	c.Appends[0].Context.Commentary = "März"
	c.Appends[1].Events[0] = Event{Name: "closed", Version: -1, Data: []byte{}}
	c.Appends[1].Result = nil
	return c
}

func TestDecodeReturnsWhatWasEncoded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := commits(account).Draw(t, "commit")
		b := c.Encode()
		require.Equal(t, b, c.Encode(), "one commit has one encoding")
		got, err := Decode(account, c.Number, b)
		require.NoError(t, err)
		require.Equal(t, c, got)
	})
}

// The bytes of format 1 are in stores and under hashes: they never change.
func TestFormat1IsForEver(t *testing.T) {
	golden, err := os.ReadFile("testdata/commit-1.hex")
	require.NoError(t, err)
	stored, err := hex.DecodeString(string(bytes.Join(bytes.Fields(golden), nil)))
	require.NoError(t, err)

	c := sample()
	require.Equal(t, hex.Dump(stored), hex.Dump(c.Encode()))
	got, err := Decode(account, 42, stored)
	require.NoError(t, err)
	require.Equal(t, c, got)
}

func TestSharedStringsAreStoredOnce(t *testing.T) {
	c := Commit{Stream: account, Number: 1, First: 1, At: morning}
	for i := range 100 {
		c.Appends = append(c.Appends, deposit("c-"+strconv.Itoa(i)+"/pay", 1))
	}
	b := c.Encode()
	require.Equal(t, 1, bytes.Count(b, []byte("ada@example.org")))
	require.Equal(t, 1, bytes.Count(b, []byte("deposited")))
	got, err := Decode(account, 1, b)
	require.NoError(t, err)
	require.Equal(t, c, got)
}

func TestSizeIsTheMostThatAnAppendAdds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := commits(account).Draw(t, "commit")
		with := len(c.Encode())
		for k := len(c.Appends); k > 0; k-- {
			size := c.Appends[k-1].Size()
			c.Appends = c.Appends[:k-1]
			without := len(c.Encode())
			require.LessOrEqual(t, with-without, size)
			with = without
		}
	})
}

func TestEveryDamagedByteIsNoticed(t *testing.T) {
	c := sample()
	b := c.Encode()
	for i := range b {
		for bit := range 8 {
			b[i] ^= 1 << bit
			_, err := Decode(account, 42, b)
			requireCorrupt(t, err, account, 42)
			b[i] ^= 1 << bit
		}
	}
}

// A store that cut a value, and one whose checksum was made over a cut value.
func TestEveryCutIsNoticed(t *testing.T) {
	c := sample()
	b := c.Encode()
	for n := range b {
		_, err := Decode(account, 42, b[:n])
		requireCorrupt(t, err, account, 42)
		if n < len(b)-frameTail && n >= frameHead {
			_, err = Decode(account, 42, seal(bytes.Clone(b[:n])))
			requireCorrupt(t, err, account, 42)
		}
	}
	body := b[:len(b)-frameTail]
	_, err := Decode(account, 42, seal(append(bytes.Clone(body), 0)))
	requireCorrupt(t, err, account, 42)
	require.ErrorContains(t, err, "follow the end")
}

func TestACommitUnderAnotherKeyIsRefused(t *testing.T) {
	c := sample()
	b := c.Encode()
	for _, test := range []struct {
		id ID
		n  uint64
	}{
		{account, 41},
		{account, 43},
		{account, 0},
		{ID{Type: "bank.account", Key: "577"}, 42},
		{ID{Type: "bank.loan", Key: "576"}, 42},
		{ID{Type: "bank.account5", Key: "76"}, 42},
	} {
		_, err := Decode(test.id, test.n, b)
		requireCorrupt(t, err, test.id, test.n)
		require.ErrorContains(t, err, "commit 42 of bank.account/576")
	}
}

func TestANewerFormatIsNotCorruption(t *testing.T) {
	c := sample()
	b := c.Encode()
	b[frameHead-1] = commitFormat + 1
	_, err := Decode(account, 42, seal(b[:len(b)-frameTail]))
	require.ErrorIs(t, err, ErrFormat)
	require.NotErrorIs(t, err, ErrCorrupt)
}

func TestImpossibleNumbersAreRefused(t *testing.T) {
	for _, test := range []struct {
		name   string
		number uint64
		first  uint64
		events int
	}{
		{"no number", 0, 1, 1},
		{"no first sequence", 1, 0, 1},
		{"more events than sequences", 1, math.MaxUint64, 1},
	} {
		c := Commit{Stream: account, Number: test.number, First: test.first, Appends: []Append{deposit("a", test.events)}}
		_, err := Decode(account, test.number, c.Encode())
		requireCorrupt(t, err, account, test.number)
	}
	c := Commit{Stream: account, Number: 1, First: math.MaxUint64 - 1, At: morning, Appends: []Append{deposit("a", 1)}}
	_, err := Decode(account, 1, c.Encode())
	require.NoError(t, err)
}

// Counts and lengths that promise more than there is must fail before anything
// is allocated for them.
func TestLengthsAreNotTrusted(t *testing.T) {
	void := Commit{Stream: account, Number: 1, First: 1, At: morning}
	b := void.Encode()
	head := b[:len(b)-frameTail-3] // without the three counts: strings, events, appends
	for _, counts := range [][]uint64{
		{math.MaxUint64, 0, 0},
		{1 << 40, 0, 0},
		{0, 1 << 40, 0},
		{0, 0, 1 << 40},
		{0, 1, 0},
		{1, math.MaxUint64, 0},
		{1, 0, 0, 0},
		slices.Concat([]uint64{0, 2, 1, 0}, make([]uint64, 16+6), []uint64{1, 0, 0, 0, 0}), // two events, one of them in an append
		slices.Concat([]uint64{0, 0, 1, 1}, make([]uint64, 16+6), []uint64{0, 0}),          // the first string of none
		{2, math.MaxUint64, math.MaxUint64, 0, 0},
	} {
		forged := bytes.Clone(head)
		for _, n := range counts {
			forged = binary.AppendUvarint(forged, n)
		}
		forged = seal(forged)
		_, err := Decode(account, 1, forged)
		requireCorrupt(t, err, account, 1)
		require.Less(t, testing.AllocsPerRun(10, func() { _, _ = Decode(account, 1, forged) }), 10.0)
	}
}

func TestCountsAreBoundedByTheBytesThatFollow(t *testing.T) {
	for n, ok := range map[byte]bool{0: true, 10: true, 11: false, 127: false} {
		s := scanner{rest: append([]byte{n}, make([]byte, 32)...)}
		got := s.count(3)
		require.Equal(t, ok, s.err == nil, "%d items in 32 bytes", n)
		require.Equal(t, ok, got == int(n))
	}
}

func TestOnlyTheShortestFormOfANumberIsRead(t *testing.T) {
	void := Commit{Stream: account, Number: 1, First: 1, At: morning}
	b := void.Encode()
	long := append(bytes.Clone(b[:len(b)-frameTail-1]), 0x80, 0) // the count of appends: 0 in two bytes
	_, err := Decode(account, 1, seal(long))
	requireCorrupt(t, err, account, 1)
}

func TestDecodedBytesCannotGrowIntoTheirNeighbours(t *testing.T) {
	c := sample()
	b := c.Encode()
	kept := bytes.Clone(b)
	got, err := Decode(account, 42, b)
	require.NoError(t, err)
	for i := range got.Appends {
		a := &got.Appends[i]
		_ = append(a.Result, "overwritten"...)
		_ = append(a.Events, Event{Name: "overwritten"})
		for k := range a.Events {
			_ = append(a.Events[k].Data, "overwritten"...)
		}
	}
	require.Equal(t, kept, b)
	require.Equal(t, c, got)
}

// requireCorrupt asserts that err names the stream and the commit.
func requireCorrupt(t *testing.T, err error, id ID, n uint64) {
	t.Helper()
	require.ErrorIs(t, err, ErrCorrupt)
	var corrupt *CorruptError
	require.ErrorAs(t, err, &corrupt)
	require.Equal(t, id, corrupt.Stream)
	require.Equal(t, n, corrupt.Number)
	require.NotEmpty(t, corrupt.Problem)
	require.ErrorContains(t, err, id.String())
}
