package workflows_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
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

// Two processes share a database: here two engines, which know nothing of each
// other.
func TestEmbeddedPostgresShared(t *testing.T) {
	server := servers.ForTest[*servers.Postgres](t)(servers.StartPostgres())
	cfg := workflows.EmbeddedConfig{Postgres: server.DSN}
	first, second := newBench(t, embedded(t, cfg)), newBench(t, embedded(t, cfg))
	defer first.end(t, first.work(t))
	defer second.end(t, second.work(t))
	for i, b := range []*bench{first, second, first} {
		b.start(t, "wide", nil)
		for j := range 20 {
			require.NoError(t, b.engine.Schedule(t.Context(), "parent", fmt.Sprintf("parent-%d-%d", i, j), nil))
		}
		b.gives(t, b.id(t), fmt.Sprint(3*limits.Activities))
	}
	for i := range 3 {
		for j := range 20 {
			first.gives(t, fmt.Sprintf("parent-%d-%d", i, j), "30")
		}
	}
}

// What a process that was killed left in the middle the next one on the same file
// ends, without waiting until the locks of the first run out.
func TestEmbeddedKilled(t *testing.T) {
	file := os.Getenv("LONGRUN_TEST_FILE")
	if file != "" { // the process to be killed
		b := newBench(t, embedded(t, workflows.EmbeddedConfig{SQLite: file}))
		b.run = "killed"
		b.work(t)
		require.NoError(t, b.engine.Schedule(t.Context(), "wait", "killed~waits", patience))
		b.untilRecorded(t, "killed~waits", "TimerCreated")
		b.reach(t, b.start(t, "held", nil))
		fmt.Println("reached")
		select {}
	}
	file = filepath.Join(t.TempDir(), "workflows.db")
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestEmbeddedKilled$")
	cmd.Env = append(os.Environ(), "LONGRUN_TEST_FILE="+file)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "reached" {
	}
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())

	b := newBench(t, embedded(t, workflows.EmbeddedConfig{SQLite: file}))
	b.run = "killed"
	defer b.end(t, b.work(t))
	id := b.id(t)
	close(b.reach(t, id).open)
	b.gives(t, id, "3")
	require.NoError(t, b.engine.Raise(t.Context(), "killed~waits", "go"))
	b.gives(t, "killed~waits", `"gone"`)
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
