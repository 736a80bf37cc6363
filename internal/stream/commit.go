// Package stream is the log under every entity: a chain of insert-only
// commits behind a small store port (docs/adr/0001-key-layout.md).
//
// Commit n of a stream is one key that is inserted once and never changed. Who
// inserts it owns sequence numbers First..Last; everything else (heads,
// snapshots, clocks, caches) makes reading fast and decides nothing.
package stream

import "time"

// Limits on sizes, in bytes. An append above MaxAppend is refused before
// anything is written; flushes, coalesced calls and answers are cut at MaxBatch
// because the sidecar's messages end at 4 MiB.
const (
	MaxAppend   = 1 << 20
	MaxBatch    = 3 << 20
	MaxSnapshot = 256 << 10
)

// ID names a stream: an entity type and the entity's key, both as users know
// them (unescaped).
type ID struct {
	Type string
	Key  string
}

// Commit is what is written at once to one stream.
type Commit struct {
	Stream  ID
	Number  uint64    // 1, 2, 3: no gaps
	ID      [16]byte  // made anew for every attempt to write different content
	First   uint64    // sequence of its first event; of the next event if it has none
	Prev    Hash      // hash of the stored bytes of commit Number-1; zero for commit 1
	At      time.Time // UTC, microseconds; never before the commit before it
	Appends []Append  // none: a void commit, which only settles that Number is taken
}

// Append is one or more events that belong together, all or nothing. An append
// without events is a settlement: it only makes its id known to the stream.
type Append struct {
	ID         string   // the idempotency key, "<command id>/<step>"
	ParamsHash [16]byte // of what was asked for, to tell a repeat from a conflict
	Context    Context
	Events     []Event
	Result     []byte // what the decision answered, JSON; nil if nothing
}

// Context says who caused an append, and why. It is stored with it.
type Context struct {
	Who           string
	Source        string
	Commentary    string
	CorrelationID string
	CausationID   string
	Schema        string // the fingerprint of the release's events that wrote it
}

// Event is one fact as it is stored.
type Event struct {
	Name    string
	Version int
	Data    []byte // JSON
}

// Hash is the SHA-256 of a commit's stored bytes.
type Hash [32]byte

// Last is the sequence of the commit's last event, First-1 if it has none.
func (c *Commit) Last() uint64 { return c.First + uint64(c.Events()) - 1 }

// Events counts the events of all appends.
func (c *Commit) Events() int {
	n := 0
	for i := range c.Appends {
		n += len(c.Appends[i].Events)
	}
	return n
}
