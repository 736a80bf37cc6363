package stream

import (
	"bytes"
	"context"
	"fmt"
	"sync"
)

// Memory is a Store in memory, for tests and for trying things out. It keeps
// what its Traits promise and refuses what they do not allow, and it can be
// told to fail. All methods may be called at the same time.
type Memory struct {
	traits Traits

	mu     sync.Mutex
	values map[string][]byte
	hooks  Hooks
	calls  Calls
}

// Hooks let a test stand in the way of calls. Each may be nil. They run on the
// caller's goroutine without any lock, so that a hook can use the store itself,
// for instance to let a rival write first, or wait.
type Hooks struct {
	BeforeInsert func([]Entry) error // an error: nothing is written
	AfterInsert  func([]Entry) error // called if it was written; the caller sees the error all the same
	BeforeRead   func(keys []string) error
	BeforePut    func(key string) error
}

// Calls counts the calls of a Memory, failed ones too.
type Calls struct {
	Insert, Read, Put int
	Keys              int // in all Reads together
}

// NewMemory returns an empty store that can do everything.
func NewMemory() *Memory {
	return NewMemoryLike(Traits{Name: "memory", Rollback: true, Across: true, MaxOps: 1000})
}

// NewMemoryLike returns an empty store with the given traits, weaknesses too:
// without Rollback, a failed Insert still writes the entries whose keys were
// absent.
func NewMemoryLike(t Traits) *Memory {
	return &Memory{traits: t, values: map[string][]byte{}}
}

// Traits implements Store.
func (m *Memory) Traits() Traits { return m.traits }

// SetHooks replaces the hooks, for calls that begin after it.
func (m *Memory) SetHooks(h Hooks) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hooks = h
}

// Calls returns how many calls there were since the store was made.
func (m *Memory) Calls() Calls {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls
}

// Delete removes a key, which no Store can do: it plays a store that lost one.
func (m *Memory) Delete(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.values, key)
}

// Insert implements Store.
func (m *Memory) Insert(ctx context.Context, entries []Entry) error {
	m.mu.Lock()
	m.calls.Insert++
	hooks := m.hooks
	m.mu.Unlock()

	if hooks.BeforeInsert != nil {
		if err := hooks.BeforeInsert(entries); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := m.allowed(entries); err != nil {
		return err
	}
	if err := m.insert(entries); err != nil {
		return err
	}
	if hooks.AfterInsert != nil {
		return hooks.AfterInsert(entries)
	}
	return nil
}

// allowed checks entries against the traits and the contract of Insert.
func (m *Memory) allowed(entries []Entry) error {
	if len(entries) > m.traits.MaxOps {
		return fmt.Errorf("insert of %d entries: the store takes %d", len(entries), m.traits.MaxOps)
	}
	keys := make(map[string]bool, len(entries))
	for _, e := range entries {
		if keys[e.Key] {
			return fmt.Errorf("insert names key %s twice", e.Key)
		}
		keys[e.Key] = true
		if !m.traits.Across && e.Partition != entries[0].Partition {
			return fmt.Errorf("insert into partitions %s and %s at once", entries[0].Partition, e.Partition)
		}
	}
	return nil
}

func (m *Memory) insert(entries []Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var conflict error
	for _, e := range entries {
		if _, taken := m.values[e.Key]; taken {
			conflict = fmt.Errorf("key %s exists", e.Key)
		}
	}
	if conflict != nil && m.traits.Rollback {
		return conflict
	}
	for _, e := range entries {
		if _, taken := m.values[e.Key]; !taken {
			m.values[e.Key] = present(e.Value)
		}
	}
	return conflict
}

// Read implements Store.
func (m *Memory) Read(ctx context.Context, keys []string) ([][]byte, error) {
	m.mu.Lock()
	m.calls.Read++
	m.calls.Keys += len(keys)
	hooks := m.hooks
	m.mu.Unlock()

	if hooks.BeforeRead != nil {
		if err := hooks.BeforeRead(keys); err != nil {
			return nil, err
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	values := make([][]byte, len(keys))
	for i, key := range keys {
		values[i] = bytes.Clone(m.values[key])
	}
	return values, nil
}

// Put implements Store.
func (m *Memory) Put(ctx context.Context, hints ...Entry) error {
	m.mu.Lock()
	m.calls.Put++
	hooks := m.hooks
	m.mu.Unlock()

	for _, e := range hints {
		if hooks.BeforePut == nil {
			break
		}
		if err := hooks.BeforePut(e.Key); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range hints {
		m.values[e.Key] = present(e.Value)
	}
	return nil
}

// present copies a value; an empty one must not be nil, which means absent.
func present(value []byte) []byte { return append([]byte{}, value...) }
