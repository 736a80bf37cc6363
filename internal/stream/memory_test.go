package stream

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMemoryHooks(t *testing.T) {
	ctx := context.Background()
	entries := []Entry{{Key: "a", Value: []byte("1"), Partition: "p"}}
	present := func(m *Memory) bool {
		values, err := m.Read(ctx, []string{"a"})
		require.NoError(t, err)
		return values[0] != nil
	}

	m := NewMemory()
	m.SetHooks(Hooks{BeforeInsert: func(got []Entry) error {
		require.Equal(t, entries, got)
		return errStore
	}})
	require.ErrorIs(t, m.Insert(ctx, entries), errStore)
	require.False(t, present(m), "it failed before it wrote")

	m.SetHooks(Hooks{AfterInsert: func([]Entry) error { return errStore }})
	require.ErrorIs(t, m.Insert(ctx, entries), errStore)
	require.True(t, present(m), "it failed after it wrote")

	m.SetHooks(Hooks{BeforePut: func(string) error { return errStore }})
	require.ErrorIs(t, m.Put(ctx, Entry{Key: "a", Value: nil}), errStore)

	m.Delete("a")
	m.SetHooks(Hooks{BeforeInsert: func([]Entry) error { // a rival is faster
		m.SetHooks(Hooks{})
		return m.Insert(ctx, entries)
	}})
	require.Error(t, m.Insert(ctx, entries))
	require.True(t, present(m))
}

func TestMemoryCountsCalls(t *testing.T) {
	ctx := context.Background()
	m := NewMemory()
	require.NoError(t, m.Insert(ctx, []Entry{{Key: "a"}}))
	require.Error(t, m.Insert(ctx, []Entry{{Key: "a"}}))
	_, err := m.Read(ctx, []string{"a", "b"})
	require.NoError(t, err)
	require.NoError(t, m.Put(ctx, Entry{Key: "b", Value: nil}))
	require.Equal(t, Calls{Insert: 2, Read: 1, Put: 1, Keys: 2}, m.Calls())
}

func TestMemoryRefusesWhatItsTraitsDoNotAllow(t *testing.T) {
	ctx := context.Background()
	m := NewMemoryLike(Traits{Name: "narrow", Rollback: true, MaxOps: 2})
	require.Equal(t, Traits{Name: "narrow", Rollback: true, MaxOps: 2}, m.Traits())
	for name, entries := range map[string][]Entry{
		"too many":       {{Key: "a"}, {Key: "b"}, {Key: "c"}},
		"two partitions": {{Key: "a", Partition: "p"}, {Key: "b", Partition: "q"}},
		"one key twice":  {{Key: "a"}, {Key: "a"}},
	} {
		require.Error(t, m.Insert(ctx, entries), name)
		values, err := m.Read(ctx, []string{"a", "b", "c"})
		require.NoError(t, err)
		require.Equal(t, [][]byte{nil, nil, nil}, values, name)
	}
}

func TestMemoryWithoutRollback(t *testing.T) {
	ctx := context.Background()
	m := NewMemoryLike(Traits{Across: true, MaxOps: 10})
	require.NoError(t, m.Insert(ctx, []Entry{{Key: "b", Value: []byte("old")}}))
	require.Error(t, m.Insert(ctx, []Entry{
		{Key: "a", Value: []byte("new")}, {Key: "b", Value: []byte("new")}, {Key: "c", Value: []byte("new")},
	}))
	values, err := m.Read(ctx, []string{"a", "b", "c"})
	require.NoError(t, err)
	require.Equal(t, [][]byte{[]byte("new"), []byte("old"), []byte("new")}, values)
}

// Neither what a caller gave nor what it got is the store's own memory.
func TestMemoryKeepsItsOwnBytes(t *testing.T) {
	ctx := context.Background()
	m := NewMemory()
	value := []byte("value")
	require.NoError(t, m.Insert(ctx, []Entry{{Key: "a", Value: value}}))
	value[0] = '!'
	for range 2 {
		values, err := m.Read(ctx, []string{"a"})
		require.NoError(t, err)
		require.Equal(t, "value", string(values[0]))
		values[0][0] = '!'
	}
}
