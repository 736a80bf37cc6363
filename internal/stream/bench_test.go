package stream

import (
	"context"
	"strconv"
	"testing"
)

// A stream that was written one event at a time, and a hot one's commits.
var shapes = []struct {
	name    string
	appends int
}{{"single", 1}, {"coalesced 32", 32}}

func benchCommit(appends int) Commit {
	c := Commit{Stream: account, Number: 42, First: 99, At: morning}
	for i := range appends {
		c.Appends = append(c.Appends, deposit("0192f0c1-2a52-7e77-9d0e-"+strconv.Itoa(i)+"/pay", 1))
	}
	return c
}

func reportEvents(b *testing.B, each int) {
	b.ReportMetric(float64(b.N*each)/b.Elapsed().Seconds(), "events/s")
	b.ReportAllocs()
}

func BenchmarkEncode(b *testing.B) {
	for _, shape := range shapes {
		b.Run(shape.name, func(b *testing.B) {
			c := benchCommit(shape.appends)
			b.SetBytes(int64(len(c.Encode())))
			for b.Loop() {
				c.Encode()
			}
			reportEvents(b, shape.appends)
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, shape := range shapes {
		b.Run(shape.name, func(b *testing.B) {
			c := benchCommit(shape.appends)
			stored := c.Encode()
			b.SetBytes(int64(len(stored)))
			for b.Loop() {
				if _, err := Decode(account, 42, stored); err != nil {
					b.Fatal(err)
				}
			}
			reportEvents(b, shape.appends)
		})
	}
}

// What a replay costs apart from the store: pages, decoding, hashes, checks.
func BenchmarkReplay(b *testing.B) {
	for _, shape := range shapes {
		b.Run(shape.name, func(b *testing.B) {
			const events = 32_000
			w := newWriter(b)
			for range events / shape.appends {
				w.put(w.next(benchCommit(shape.appends).Appends...))
			}
			for b.Loop() {
				seen := 0
				for raw, err := range w.reader().Commits(context.Background(), account, 1, 0) {
					if err != nil {
						b.Fatal(err)
					}
					seen += raw.Events()
				}
				if seen != events {
					b.Fatalf("%d events", seen)
				}
			}
			reportEvents(b, events)
		})
	}
}

func BenchmarkHeadDecode(b *testing.B) {
	w := newWriter(b)
	w.ones(MaxRecent)
	head := w.head()
	stored := head.Encode()
	b.SetBytes(int64(len(stored)))
	for b.Loop() {
		if _, err := DecodeHead(stored); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
}
