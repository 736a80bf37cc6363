package streamtest

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/internal/stream"
)

const mebibyte = 1 << 20

// all256 is every byte there is.
func all256() []byte {
	b := make([]byte, 256)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

// Values come back byte by byte, whatever they look like.
func (s *suite) opaqueValues() {
	for name, value := range map[string][]byte{
		"every byte":   all256(),
		"empty":        {},
		"zero":         {0},
		"text":         []byte("text"),
		"JSON":         []byte(`{"a" : 1}`),
		"JSON string":  []byte(`"text"`),
		"JSON null":    []byte(`null`),
		"number":       []byte("1.0"),
		"base64":       []byte("AAEC"),
		"no UTF-8":     {0xff, 0xfe, 0x80},
		"new lines":    []byte("a\r\nb\n"),
		"one mebibyte": bytes.Repeat(all256(), mebibyte/256),
	} {
		id := fresh()
		e := entry(id, 1, value)
		s.insert(e)
		s.same(value, s.read(e)[0], name)

		require.NoError(s, s.Put(s.ctx, stream.Entry{Key: id.HeadKey(), Value: value}), name)
		s.same(value, s.readKeys([]string{id.HeadKey()})[0], name)
	}
}

// Keys that users choose stay apart, also in stores that ignore case or trim.
func (s *suite) oddKeys() {
	run := fresh().Key
	var entries []stream.Entry
	for _, key := range []string{
		"a", "A", "aa", "a ", " a", "a.", ".a", ".", "..", "a_", "a_5f", "a~", "a%", "a%20b", "a b", "a+b", "a||b", "a|b",
		"a/b", "a\\b", "a:b", "a*", "a?", "a#b", "a'b", `a"b`, "a;--", "a\tb", "${a}", "ä", "a\u0308", "ß", "SS", "日本語", "🙂",
		strings.Repeat("é", (stream.MaxKey-len(run))/2), // the longest name of a key, escaped
	} {
		entries = append(entries, entry(stream.ID{Type: "streamtest", Key: run + key}, 1, []byte(key)))
	}
	for _, e := range entries {
		s.insert(e)
	}
	s.holds(entries...)
}

func (s *suite) readMany() {
	const size = 2000
	id := fresh()
	entries := make([]stream.Entry, size)
	for i := range entries {
		entries[i] = entry(id, uint64(i)+1, fmt.Appendf(nil, "value %d", i))
	}
	for chunk := min(100, s.Traits().MaxOps); len(entries) > 0; {
		n := min(chunk, len(entries))
		s.insert(entries[:n]...)
		entries = entries[n:]
	}
	keys, want := make([]string, size), make([]string, size)
	for i := range keys {
		n := i * 7 % size // in another order than that of the keys
		keys[i], want[i] = id.CommitKey(uint64(n)+1), fmt.Sprintf("value %d", n)
	}
	got := make([]string, size)
	for i, value := range s.readKeys(keys) {
		got[i] = string(value)
	}
	require.Equal(s, want, got)
}

// Absence is nil at the key's place, and nothing else is nil.
func (s *suite) readAbsent() {
	require.Empty(s, s.readKeys(nil))
	id := fresh()
	for n := uint64(2); n <= 60; n += 3 {
		s.insert(entry(id, n, nil)) // empty, not absent
	}
	keys := make([]string, 60)
	for i := range keys {
		keys[i] = id.CommitKey(uint64(i) + 1)
	}
	for i, value := range s.readKeys(keys) {
		if n := i + 1; n%3 == 2 {
			require.NotNil(s, value, "commit %d", n)
			require.Empty(s, value, "commit %d", n)
		} else {
			require.Nil(s, value, "commit %d", n)
		}
	}
}

// An answer may be larger than one message.
func (s *suite) readLarge() {
	id := fresh()
	var entries []stream.Entry
	for n := range uint64(7) {
		e := entry(id, n+1, bytes.Repeat([]byte{byte(n)}, mebibyte-int(n)))
		s.insert(e)
		entries = append(entries, e)
	}
	s.holds(entries...)
}

func (s *suite) put() {
	id := fresh()
	for _, value := range []string{"first", "second, longer", "", "third"} {
		require.NoError(s, s.Put(s.ctx, stream.Entry{Key: id.HeadKey(), Value: []byte(value)}))
		s.same([]byte(value), s.readKeys([]string{id.HeadKey()})[0], id.HeadKey())
	}
	s.lacks(entry(id, 1, nil))
	err := s.Insert(s.ctx, []stream.Entry{{Key: id.HeadKey(), Value: []byte("x"), Partition: id.Partition()}})
	require.Error(s, err, "a key that was put exists")
}

// A call whose caller has given up ends with an error, and soon.
func (s *suite) cancelled() {
	id := fresh()
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	began := time.Now()
	require.Error(s, s.Insert(ctx, []stream.Entry{entry(id, 1, []byte("x"))}))
	_, err := s.Read(ctx, []string{id.CommitKey(1)})
	require.Error(s, err)
	require.Error(s, s.Put(ctx, stream.Entry{Key: id.HeadKey(), Value: []byte("x")}))
	require.Less(s, time.Since(began), 5*time.Second)
}
