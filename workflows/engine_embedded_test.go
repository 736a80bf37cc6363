package workflows_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/tests/servers"
	"github.com/longrun-dev/longrun/workflows"
)

func embedded(t *testing.T, cfg workflows.EmbeddedConfig) *workflows.Embedded {
	cfg.EngineConfig = limits
	engine, err := workflows.NewEmbeddedEngine(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, engine.Close()) })
	return engine
}

func TestEmbeddedSQLite(t *testing.T) {
	engine := embedded(t, workflows.EmbeddedConfig{SQLite: filepath.Join(t.TempDir(), "a file?.db")})
	testEngine(t, engine)
	t.Run("measured", func(t *testing.T) { newBench(t, engine).measure(t, "embedded, SQLite") })
}

func TestEmbeddedPostgres(t *testing.T) {
	server := servers.ForTest[*servers.Postgres](t)(servers.StartPostgres())
	engine := embedded(t, workflows.EmbeddedConfig{Postgres: server.DSN})
	testEngine(t, engine)
	t.Run("measured", func(t *testing.T) { newBench(t, engine).measure(t, "embedded, PostgreSQL") })
}

// What one engine left in the middle the next one on the same file ends, without
// waiting until the locks of the first run out.
func TestEmbeddedOpenedAgain(t *testing.T) {
	file := workflows.EmbeddedConfig{SQLite: filepath.Join(t.TempDir(), "workflows.db")}
	first := newBench(t, embedded(t, file))
	stop := first.work(t)
	id := first.start(t, "held", nil)
	first.reach(t, id)
	waiting := id + "-waits"
	require.NoError(t, first.engine.Schedule(t.Context(), "wait", waiting, patience))

	// The second opens it while the first holds the activity, as after a crash.
	second := newBench(t, embedded(t, file))
	defer second.end(t, second.work(t))
	g := second.reach(t, id)
	now, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, stop(now))
	close(g.open)
	second.gives(t, id, "3")
	require.NoError(t, second.engine.Raise(t.Context(), waiting, "go"))
	second.gives(t, waiting, `"gone"`)
}

func TestEmbeddedCannotOpen(t *testing.T) {
	for name, cfg := range map[string]workflows.EmbeddedConfig{
		"neither":            {},
		"both":               {SQLite: "a", Postgres: "b"},
		"no folder":          {SQLite: filepath.Join(t.TempDir(), "none", "file.db")},
		"no connection text": {Postgres: "what=is this"},
		"no server":          {Postgres: "host=127.0.0.1 port=1 user=x dbname=x sslmode=disable"},
	} {
		cfg.EngineConfig = limits
		_, err := workflows.NewEmbeddedEngine(t.Context(), cfg)
		require.Error(t, err, name)
	}
}
