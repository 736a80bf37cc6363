package stream

import (
	"bytes"
	"reflect"
	"testing"
)

// The fuzzers also get past the checksum, which they could hardly guess: they
// try the bytes as they are and under a checksum that is right.

func FuzzDecodeCommit(f *testing.F) {
	for _, c := range []Commit{sample(), {Stream: account, Number: 42, First: 1}} {
		f.Add(c.Encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, stored := range [][]byte{b, seal(bytes.Clone(b)), reseal(b)} {
			c, err := Decode(account, 42, stored)
			if err != nil {
				continue
			}
			if c.Stream != account || c.Number != 42 || c.First == 0 || c.Last() < c.First-1 {
				t.Fatalf("accepted %+v", c)
			}
			again, err := Decode(account, 42, c.Encode())
			if err != nil || !reflect.DeepEqual(c, again) {
				t.Fatalf("%+v became %+v: %v", c, again, err)
			}
		}
	})
}

func FuzzDecodeHead(f *testing.F) {
	for _, h := range []Head{sampleHead(), {Number: 1}} {
		f.Add(h.Encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, stored := range [][]byte{b, seal(bytes.Clone(b)), reseal(b)} {
			h, err := DecodeHead(stored)
			if err != nil {
				continue
			}
			again, err := DecodeHead(h.Encode())
			if err != nil || !reflect.DeepEqual(h, again) {
				t.Fatalf("%+v became %+v: %v", h, again, err)
			}
		}
	})
}

// reseal replaces the last bytes by a checksum that is right.
func reseal(b []byte) []byte {
	return seal(bytes.Clone(b[:max(0, len(b)-frameTail)]))
}

func FuzzUnescape(f *testing.F) {
	for _, s := range []string{"576", "_41da", "_2e", "_", "_zz", "%41", "_c5_be"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if name, err := Unescape(s); err == nil && Escape(name) != s {
			t.Fatalf("%q and %q are both %q", s, Escape(name), name)
		}
		if back, err := Unescape(Escape(s)); err != nil || back != s {
			t.Fatalf("%q became %q: %v", s, back, err)
		}
	})
}
