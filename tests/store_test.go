// Package tests runs Longrun against what it runs on: a real sidecar, real
// stores. `make test-unit` leaves it out.
package tests

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/stream"
	"github.com/longrun-dev/longrun/internal/stream/streamtest"
	"github.com/longrun-dev/longrun/tests/servers"
)

// stores are the state stores that can run here, and what each is known to do.
var stores = []struct {
	name  string
	start func(t *testing.T) *actors.StateStore
	want  stream.Traits
	gaps  map[string]string // parts of the conformance suite that do not hold, and why that does no harm
}{
	{
		name: "sqlite", start: startSQLite,
		want: stream.Traits{Name: "state.sqlite", Rollback: true, Across: true, Writers: 1},
	},
	{
		name: "postgresql v2", start: startPostgres,
		want: stream.Traits{Name: "state.postgresql", Rollback: true, Across: true},
		gaps: map[string]string{
			"opaque values":         noEmptyValues,
			"read with absent keys": noEmptyValues,
			"put":                   noEmptyValues,
		},
	},
	{
		name: "postgresql v1", start: startPostgresV1,
		want: stream.Traits{Name: "state.postgresql", Rollback: true, Across: true},
	},
	{
		name: "redis", start: startRedis,
		want: stream.Traits{Name: "state.redis", Across: true},
		gaps: map[string]string{"put": "an insert overwrites what was put; commits are never put, heads never inserted"},
	},
	{
		name: "in-memory", start: startInMemory,
		want: stream.Traits{Name: "state.in-memory", Rollback: true, Across: true},
	},
}

const noEmptyValues = "the sidecar gives an empty value to PostgreSQL as NULL, which it refuses; no commit and no head is empty"

func TestStore(t *testing.T) {
	for _, s := range stores {
		t.Run(s.name, func(t *testing.T) {
			store := s.start(t)
			t.Run("conformance", func(t *testing.T) {
				streamtest.Run(t, func(t *testing.T) stream.Store {
					t.Helper()
					part := strings.ReplaceAll(t.Name()[strings.LastIndexByte(t.Name(), '/')+1:], "_", " ")
					if reason, gap := s.gaps[part]; gap {
						t.Skip(reason)
					}
					return store
				})
			})
			t.Run("traits", func(t *testing.T) { provesTraits(t, store, s.want) })
			t.Run("many writers of one key", func(t *testing.T) { oneOfManyWins(t, store) })
			t.Run("bytes", func(t *testing.T) { keepsBytes(t, store) })
		})
	}
}

// keepsBytes shows that values come back as they were written, inserted alone,
// inserted together and put, read alone and read in bulk; and that absent keys
// between them are absent.
func keepsBytes(t *testing.T, store stream.Store) {
	t.Helper()
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	values := []string{string(every), "\x00", "{\"a\" : 1}", "\"text\"", "null", "1.0", "AAEC", "\xff\xfe", "a\r\nb\n", strings.Repeat(string(every), 4096)}
	var together []stream.Entry
	var keys, want []string
	for i, v := range values {
		alone := entry("alone", uint64(i+1), v)
		require.NoError(t, store.Insert(t.Context(), []stream.Entry{alone}))
		put := stream.ID{Type: "test", Key: fmt.Sprintf("put-%d", i)}.HeadKey()
		for _, value := range []string{"before", v} {
			require.NoError(t, store.Put(t.Context(), stream.Entry{Key: put, Value: []byte(value)}))
		}
		e := entry(fmt.Sprintf("together-%d", i), 1, v)
		together = append(together, e)
		keys = append(keys, alone.Key, put, e.Key, entry(fmt.Sprintf("absent-%d", i), 1, "").Key)
		want = append(want, v, v, v, "")
	}
	require.NoError(t, store.Insert(t.Context(), together))
	bulk, err := store.Read(t.Context(), keys)
	require.NoError(t, err)
	for i, key := range keys {
		single, err := store.Read(t.Context(), []string{key})
		require.NoError(t, err)
		for _, got := range [][]byte{bulk[i], single[0]} {
			if string(got) != want[i] { // without printing megabytes
				require.Fail(t, "another value", "key %s: %.40q", key, got)
			}
			require.Equal(t, want[i] == "", got == nil, "key %s", key)
		}
	}
}

// provesTraits shows that the row of this store says what the store does.
func provesTraits(t *testing.T, store stream.Store, want stream.Traits) {
	t.Helper()
	got := store.Traits()
	maxOps := got.MaxOps
	got.MaxOps = 0
	require.Equal(t, want, got)

	entries := make([]stream.Entry, maxOps)
	for i := range entries {
		entries[i] = entry(fmt.Sprintf("traits-%d", i), 1, "first")
	}
	require.NoError(t, store.Insert(t.Context(), entries), "as many as one insert may hold, of as many partitions")

	// One key is taken: inserting it with new ones fails, and never changes it.
	taken, fresh := entries[0], entry("traits-0", 2, "second")
	taken.Value = []byte("second")
	for _, order := range [][]stream.Entry{{taken, fresh}, {fresh, taken}} {
		require.Error(t, store.Insert(t.Context(), order))
		values, err := store.Read(t.Context(), []string{taken.Key, fresh.Key})
		require.NoError(t, err)
		require.Equal(t, "first", string(values[0]))
		if want.Rollback {
			require.Nil(t, values[1], "a failed insert left one of its entries")
		} else {
			require.Equal(t, "second", string(values[1]), "this store rolls back: its row can say so")
		}
	}
}

// oneOfManyWins races transactions for one key; each has a key of its own too.
func oneOfManyWins(t *testing.T, store stream.Store) {
	t.Helper()
	const writers = 32
	var won atomic.Int32
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			name := fmt.Sprintf("writer-%d", w)
			if store.Insert(t.Context(), []stream.Entry{entry("contended", 1, name), entry(name, 1, name)}) == nil {
				won.Add(1)
			}
		})
	}
	group.Wait()
	require.EqualValues(t, 1, won.Load())
}

// TestAbsence shows that a key never seems absent because a connection broke.
// PostgreSQL's component answers so when its backend is ended while it reads.
func TestAbsence(t *testing.T) {
	server := servers.ForTest[*servers.Postgres](t)(servers.StartPostgres())
	store := openStore(t, servers.StackOptions{Components: "postgres", Env: []string{"LONGRUN_POSTGRES=" + server.DSN}})
	keys := make([]string, 500)
	entries := make([]stream.Entry, len(keys))
	for i := range keys {
		entries[i] = entry("absence", uint64(i+1), strings.Repeat("x", 600))
		keys[i] = entries[i].Key
	}
	require.NoError(t, store.Insert(t.Context(), entries))

	ctx, cancel := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	var reads, failures atomic.Int32
	for range 4 {
		readers.Go(func() {
			for ctx.Err() == nil {
				values, err := store.Read(t.Context(), keys)
				if err != nil {
					failures.Add(1)
					continue
				}
				reads.Add(1)
				for i, v := range values {
					if !bytes.Equal(v, entries[i].Value) {
						t.Errorf("key %s was read as %q", keys[i], v)
						return
					}
				}
			}
		})
	}
	for range 100 {
		endBackends(t, server)
	}
	cancel()
	readers.Wait()
	require.NotZero(t, reads.Load())
	t.Logf("%d reads, %d failed", reads.Load(), failures.Load())
}

// endBackends breaks every connection to the database but its own.
func endBackends(t *testing.T, server *servers.Postgres) {
	t.Helper()
	out, err := exec.Command("psql", server.DSN, "-c",
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'").CombinedOutput()
	require.NoError(t, err, string(out))
}

// entry is commit n of a stream.
func entry(key string, n uint64, value string) stream.Entry {
	id := stream.ID{Type: "test", Key: key}
	return stream.Entry{Key: id.CommitKey(n), Value: []byte(value), Partition: id.Partition()}
}

func startSQLite(t *testing.T) *actors.StateStore {
	t.Helper()
	return openStore(t, servers.StackOptions{})
}

func startPostgres(t *testing.T) *actors.StateStore {
	t.Helper()
	server := servers.ForTest[*servers.Postgres](t)(servers.StartPostgres())
	return openStore(t, servers.StackOptions{Components: "postgres", Env: []string{"LONGRUN_POSTGRES=" + server.DSN}})
}

func startPostgresV1(t *testing.T) *actors.StateStore {
	t.Helper()
	server := servers.ForTest[*servers.Postgres](t)(servers.StartPostgres())
	return openStore(t, servers.StackOptions{Components: componentSet(t, "state.postgresql", "connectionString", server.DSN)})
}

func startRedis(t *testing.T) *actors.StateStore {
	t.Helper()
	server := servers.ForTest[*servers.Redis](t)(servers.StartRedis())
	return openStore(t, servers.StackOptions{Components: "redis-env", Env: []string{"LONGRUN_REDIS=" + server.Addr}})
}

func startInMemory(t *testing.T) *actors.StateStore {
	t.Helper()
	return openStore(t, servers.StackOptions{Components: componentSet(t, "state.in-memory")})
}

// componentSet is a folder with version v1 of one state store and nothing else.
func componentSet(t *testing.T, storeType string, setting ...string) string {
	t.Helper()
	yaml := fmt.Sprintf(`apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: statestore
spec:
  type: %s
  version: v1
  metadata:
    - name: keyPrefix
      value: name
    - name: actorStateStore
      value: "true"
`, storeType)
	for i := 0; i < len(setting); i += 2 {
		yaml += fmt.Sprintf("    - name: %s\n      value: %q\n", setting[i], setting[i+1])
	}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "statestore.yaml"), []byte(yaml), 0o600))
	return dir
}

func openStore(t *testing.T, o servers.StackOptions) *actors.StateStore {
	t.Helper()
	store, err := actors.NewStateStore(t.Context(), startSidecar(t, o), "statestore")
	require.NoError(t, err)
	return store
}

// startSidecar starts a stack and connects to its first sidecar.
func startSidecar(t *testing.T, o servers.StackOptions) *actors.Sidecar {
	t.Helper()
	stack := servers.ForTest[*servers.Stack](t)(servers.StartStack(o))
	sidecar, err := actors.Connect(t.Context(), actors.SidecarConfig{Endpoint: stack.DaprGRPC[0]})
	require.NoError(t, err)
	t.Cleanup(func() { _ = sidecar.Close() })
	return sidecar
}
