package actors

import (
	"context"
	"fmt"
	"slices"
	"strings"

	commonpb "github.com/dapr/dapr/pkg/proto/common/v1"
	pb "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/longrun-dev/longrun/internal/stream"
)

const (
	// readPage is how many keys one bulk read asks for at most.
	readPage = 1024
	// readSingles is how many single reads are in flight at a time.
	readSingles = 32
)

// StateStore is a Dapr state store behind the port of package stream. It is safe
// for concurrent use.
//
// Values are bytes to Dapr: no content type is ever given. With application/json
// the sidecar would parse a value and write it anew, and the hash over its bytes
// would no longer fit. Without one SQLite and PostgreSQL v1 keep base64,
// PostgreSQL v2 bytea and Redis a binary string; each gives back what it got.
type StateStore struct {
	sidecar *Sidecar
	name    string
	kind    storeKind
}

var _ stream.Store = (*StateStore)(nil)

// NewStateStore uses the state store component of that name. What it can do is
// found through the sidecar's metadata.
func NewStateStore(ctx context.Context, sidecar *Sidecar, component string) (*StateStore, error) {
	c, err := sidecar.Component(ctx, component)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(c.Type, "state.") {
		return nil, fmt.Errorf("component %q is a %s and should be a state store", component, c.Type)
	}
	return &StateStore{sidecar: sidecar, name: component, kind: kindOf(c.Type)}, nil
}

// Traits says what the store can do.
func (s *StateStore) Traits() stream.Traits { return s.kind.Traits }

// Insert writes the entries if none of their keys exists.
func (s *StateStore) Insert(ctx context.Context, entries []stream.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	items := s.items(entries, insertIfAbsent)
	if len(items) == 1 || !s.kind.transactions {
		return s.save(ctx, items...)
	}
	return s.transact(ctx, items, s.kind.partition(entries[0].Partition))
}

// Put overwrites: in one transaction where that can be, since a store that
// flushes each write to disk by itself is held up by every one.
func (s *StateStore) Put(ctx context.Context, hints ...stream.Entry) error {
	items := s.items(hints, overwrite)
	if len(items) > 1 && s.kind.transactions && s.kind.Across {
		return s.transact(ctx, items, nil)
	}
	return s.save(ctx, items...)
}

func (s *StateStore) items(entries []stream.Entry, options *commonpb.StateOptions) []*commonpb.StateItem {
	items := make([]*commonpb.StateItem, len(entries))
	for i, e := range entries {
		items[i] = &commonpb.StateItem{
			Key:      e.Key,
			Value:    e.Value,
			Options:  options,
			Metadata: s.kind.partition(e.Partition),
		}
	}
	return items
}

// First-write without an ETag means: insert if absent.
var (
	insertIfAbsent = &commonpb.StateOptions{
		Concurrency: commonpb.StateOptions_CONCURRENCY_FIRST_WRITE,
		Consistency: commonpb.StateOptions_CONSISTENCY_STRONG,
	}
	overwrite = &commonpb.StateOptions{
		Concurrency: commonpb.StateOptions_CONCURRENCY_LAST_WRITE,
		Consistency: commonpb.StateOptions_CONSISTENCY_STRONG,
	}
)

// save writes items each for itself.
func (s *StateStore) save(ctx context.Context, items ...*commonpb.StateItem) error {
	ctx, cancel := withDeadline(ctx, s.sidecar.cfg.CallTimeout)
	defer cancel()
	_, err := s.sidecar.api.SaveState(ctx, &pb.SaveStateRequest{StoreName: s.name, States: items})
	return s.wrap("write", err)
}

// transact writes all items or none.
func (s *StateStore) transact(ctx context.Context, items []*commonpb.StateItem, metadata map[string]string) error {
	ctx, cancel := withDeadline(ctx, s.sidecar.cfg.CallTimeout)
	defer cancel()
	ops := make([]*pb.TransactionalStateOperation, len(items))
	for i, item := range items {
		ops[i] = &pb.TransactionalStateOperation{OperationType: "upsert", Request: item}
	}
	_, err := s.sidecar.api.ExecuteStateTransaction(ctx, &pb.ExecuteStateTransactionRequest{
		StoreName: s.name, Operations: ops, Metadata: metadata,
	})
	return s.wrap("transaction", err)
}

// Read returns the values of the keys, in their order.
//
// Many keys are read in bulk. On some stores a bulk read that breaks off in the
// middle looks like one whose other keys are absent (see storeKind). There what
// seems absent is confirmed by reads of single keys.
func (s *StateStore) Read(ctx context.Context, keys []string) ([][]byte, error) {
	values := make([][]byte, len(keys))
	if len(keys) == 1 {
		return values, s.readSingly(ctx, keys, values, []int{0})
	}
	for from, page := 0, readPage; from < len(keys); {
		to := min(from+page, len(keys))
		err := s.readBulk(ctx, keys[from:to], values[from:to])
		if status.Code(err) == codes.ResourceExhausted && to-from > 1 {
			page = (to - from) / 2 // the answer is larger than a message
			continue
		}
		if err != nil {
			return nil, err
		}
		from = to
	}
	if s.kind.bulkAbsence {
		return values, nil
	}
	return values, s.confirmAbsence(ctx, keys, values)
}

// confirmAbsence reads again what a bulk read did not find. Commits of a stream
// have no gaps, so the first that is absent stands for those after it; if it is
// there after all, nothing that the bulk read said of absence is believed.
func (s *StateStore) confirmAbsence(ctx context.Context, keys []string, values [][]byte) error {
	first := make(map[string]int) // by stream
	var ask []int
	for i, key := range keys {
		if values[i] != nil {
			continue
		}
		name := partitionOf(key)
		if !isCommit(key) {
			name = key
		}
		if f, seen := first[name]; !seen || key < keys[f] {
			first[name] = i
		}
	}
	for _, i := range first {
		ask = append(ask, i)
	}
	if err := s.readSingly(ctx, keys, values, ask); err != nil {
		return err
	}
	if !slices.ContainsFunc(ask, func(i int) bool { return values[i] != nil }) {
		return nil
	}
	ask = ask[:0]
	for i := range keys {
		if values[i] == nil {
			ask = append(ask, i)
		}
	}
	return s.readSingly(ctx, keys, values, ask)
}

// readBulk sets the values of the keys that one bulk read finds.
func (s *StateStore) readBulk(ctx context.Context, keys []string, values [][]byte) error {
	ctx, cancel := withDeadline(ctx, s.sidecar.cfg.CallTimeout)
	defer cancel()
	answer, err := s.sidecar.api.GetBulkState(ctx, &pb.GetBulkStateRequest{
		StoreName: s.name, Keys: keys, Parallelism: readSingles,
	})
	if err != nil {
		return s.wrap("bulk read", err)
	}
	found := make(map[string][]byte, len(keys)) // items come in any order
	for _, item := range answer.GetItems() {
		if item.GetError() != "" {
			return s.wrap("bulk read", fmt.Errorf("key %s: %s", item.GetKey(), item.GetError()))
		}
		found[item.GetKey()] = value(item.GetData(), item.GetEtag())
	}
	for i, key := range keys {
		v, answered := found[key]
		if !answered {
			return s.wrap("bulk read", fmt.Errorf("the answer lacks key %s", key))
		}
		values[i] = v
	}
	return nil
}

// readSingly sets the values at the given places, by one read for each.
func (s *StateStore) readSingly(ctx context.Context, keys []string, values [][]byte, places []int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readSingles)
	for _, i := range places {
		group.Go(func() (err error) {
			values[i], err = s.readOne(ctx, keys[i])
			return err
		})
	}
	return group.Wait()
}

func (s *StateStore) readOne(ctx context.Context, key string) ([]byte, error) {
	ctx, cancel := withDeadline(ctx, s.sidecar.cfg.CallTimeout)
	defer cancel()
	answer, err := s.sidecar.api.GetState(ctx, &pb.GetStateRequest{
		StoreName:   s.name,
		Key:         key,
		Consistency: commonpb.StateOptions_CONSISTENCY_STRONG,
		Metadata:    s.kind.partition(partitionOf(key)),
	})
	if err != nil {
		return nil, s.wrap("read", err)
	}
	return value(answer.GetData(), answer.GetEtag()), nil
}

// value tells an empty value from an absent key: Dapr answers both without data,
// but what exists has an ETag.
func value(data []byte, etag string) []byte {
	if data == nil && etag != "" {
		return []byte{}
	}
	return data
}

// partitionOf is the partition of a stream's key: all but its last part.
func partitionOf(key string) string {
	if i := strings.LastIndexByte(key, '~'); i > 0 {
		return key[:i]
	}
	return key
}

// isCommit tells the key of a commit, which ends in its number, from others.
func isCommit(key string) bool {
	tail := strings.TrimPrefix(key, partitionOf(key)+"~")
	return len(tail) == 20 && strings.Trim(tail, "0123456789") == ""
}

func (s *StateStore) wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("state store %s: %s: %w", s.name, what, err)
}
