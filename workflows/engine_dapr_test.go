package workflows_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/tests/servers"
	"github.com/longrun-dev/longrun/workflows"
)

func TestDapr(t *testing.T) {
	stack := startStack(t, "--restart")
	engine := daprEngine(t, stack)
	testEngine(t, engine)
	t.Run("measured", func(t *testing.T) { newBench(t, engine).measure(t, "Dapr") })
	t.Run("sidecar killed in the middle", func(t *testing.T) { sidecarKilled(t, stack, engine) })
}

// The sidecar dies while an activity runs and another instance waits. Both end,
// with the same worker.
func sidecarKilled(t *testing.T, stack *servers.Stack, engine workflows.Engine) {
	b := newBench(t, engine)
	defer b.end(t, b.work(t))
	for round := range 3 {
		id := fmt.Sprintf("%s~killed-%d", b.run, round)
		require.NoError(t, engine.Schedule(t.Context(), "held", id, nil))
		require.NoError(t, engine.Schedule(t.Context(), "wait", id+"-waits", patience))
		g := b.reach(t, id)
		killed := time.Now()
		pid, err := stack.Process("sidecar-1")
		require.NoError(t, err)
		require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		close(g.open)
		require.Eventually(t, func() bool { return engine.Raise(t.Context(), id+"-waits", "go") == nil }, patience, 10*time.Millisecond)
		b.gives(t, id, "3")
		t.Logf("ended %s after the sidecar was killed", time.Since(killed).Round(time.Millisecond))
		b.gives(t, id+"-waits", `"gone"`)
	}
}

// A sidecar with a retention policy forgets by itself.
func TestDaprForgets(t *testing.T) {
	config := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(config, []byte(`
apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata: {name: test}
spec:
  workflow:
    stateRetentionPolicy: {completed: 500ms}
`), 0o600))
	b := newBench(t, daprEngine(t, startStack(t, "--dapr-config", config)))
	defer b.end(t, b.work(t))
	id := b.start(t, "empty", nil)
	b.gives(t, id, `"done"`)
	require.Eventually(t, func() bool {
		_, err := b.engine.State(t.Context(), id)
		return errors.Is(err, workflows.ErrNotFound)
	}, patience, 20*time.Millisecond)
}

func startStack(t *testing.T, args ...string) *servers.Stack {
	return servers.ForTest[*servers.Stack](t)(servers.StartStack(servers.StackOptions{Args: args}))
}

func daprEngine(t *testing.T, stack *servers.Stack) workflows.Engine {
	sidecar, err := actors.Connect(t.Context(), actors.SidecarConfig{Endpoint: stack.DaprGRPC[0]})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sidecar.Close()) })
	return workflows.NewDaprEngine(sidecar.Client().GrpcClientConn(), limits)
}
