package streamtest

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/internal/stream"
)

// A whole stream, written as its owner does and read with all that reads.
func (s *suite) aStream() {
	const size = 150
	id := fresh()
	reader := stream.Reader{Store: s.Store}
	begin := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

	tail, err := reader.Open(s.ctx, id, nil, nil)
	require.NoError(s, err)
	require.Equal(s, stream.Tail{}, tail)

	var (
		last   = stream.Tail{}
		recent []stream.RecentID
	)
	for n := uint64(1); n <= size; n++ {
		c := stream.Commit{
			Stream: id, Number: n, First: last.Last + 1, Prev: last.Hash, At: begin.Add(time.Duration(n) * time.Second),
			Appends: []stream.Append{{
				ID:     fmt.Sprintf("command-%d/step", n),
				Events: []stream.Event{{Name: "written", Version: 1, Data: fmt.Appendf(nil, "%d", n)}},
			}},
		}
		_, _ = rand.Read(c.ID[:])
		b := c.Encode()
		s.insert(entry(id, n, b))
		last = stream.Tail{Number: n, Hash: stream.HashOf(b), Last: c.Last(), At: c.At}
		recent = stream.Remember(recent, &c)
		if n == 100 {
			head := stream.Head{Number: n, Hash: last.Hash, Last: last.Last, At: last.At, Recent: recent}
			require.NoError(s, s.Put(s.ctx, stream.Entry{Key: id.HeadKey(), Value: head.Encode()}))
		}
	}

	for _, resume := range []bool{true, false} {
		passed := 0
		tail, err = reader.Open(s.ctx, id, func(*stream.Head) bool { return resume }, func(stream.Raw) error { passed++; return nil })
		require.NoError(s, err)
		require.Equal(s, map[bool]int{true: size - 100, false: size}[resume], passed)
		require.NotNil(s, tail.Head)
		tail.Head = nil
		require.Equal(s, last, tail)
	}

	events, next, err := reader.Events(s.ctx, id, 76, 10)
	require.NoError(s, err)
	require.Len(s, events, 10)
	require.Equal(s, uint64(76), events[0].Sequence)
	require.Equal(s, "76", string(events[0].Event.Data))
	require.Equal(s, uint64(86), next)

	number, err := reader.FindTime(s.ctx, id, begin.Add(50*time.Second))
	require.NoError(s, err)
	require.Equal(s, uint64(50), number)

	report, err := reader.Verify(s.ctx, id)
	require.NoError(s, err)
	require.Equal(s, stream.Report{OK: true, Commits: size, Events: size, Head: 100}, report)
}
