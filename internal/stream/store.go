package stream

import "context"

// Store is the port to the key-value store that holds commits and heads. Every
// implementation passes streamtest.Run.
//
// Any error of Insert, a timeout too, means that the outcome is unknown: some,
// all or none of the entries may be there, now or later. Only Read tells.
type Store interface {
	// Insert writes every entry if none of their keys exists, in one
	// transaction, and fails otherwise. Entries of one call never share a key.
	// On a store without rollback (Traits.Rollback is false) the entries whose
	// keys were absent may be written although Insert fails.
	Insert(ctx context.Context, entries []Entry) error

	// Read returns the values of the keys, in their order; nil where a key is
	// absent. An error for any key fails the whole read: it is never absence.
	// An answer too large for one message is fetched in parts.
	Read(ctx context.Context, keys []string) ([][]byte, error)

	// Put writes hints, as many as an Insert may hold: it overwrites, and any of
	// them may be lost.
	Put(ctx context.Context, hints ...Entry) error

	// Traits says what the store can do.
	Traits() Traits
}

// Entry is one key to write. Partition is the stream it belongs to, escaped:
// stores that are partitioned keep a stream together by it.
type Entry struct {
	Key       string
	Value     []byte
	Partition string
}

// Traits is what a store can do beyond inserting one key.
type Traits struct {
	Name     string // as the component's type says it, e.g. "state.sqlite"
	Rollback bool   // a failed Insert of several entries leaves none of them
	Across   bool   // one Insert may hold entries of several partitions
	MaxOps   int    // entries in one Insert
	Writers  int    // Inserts at the same time that serve it best; 0 is 2
}
