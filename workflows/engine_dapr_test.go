package workflows_test

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/tests/servers"
	"github.com/longrun-dev/longrun/workflows"
)

func TestDapr(t *testing.T) {
	stack := servers.ForTest[*servers.Stack](t)(servers.StartStack(servers.StackOptions{Args: []string{"--restart"}}))
	sidecar, err := actors.Connect(t.Context(), actors.SidecarConfig{Endpoint: stack.DaprGRPC[0]})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sidecar.Close()) })
	engine := workflows.NewDaprEngine(sidecar.Client().GrpcClientConn(), limits)
	testEngine(t, engine)
	t.Run("measured", func(t *testing.T) { newBench(t, engine).measure(t, "Dapr") })
	t.Run("sidecar killed in the middle", func(t *testing.T) { sidecarKilled(t, stack, engine) })
	t.Run("long ids", func(t *testing.T) { longIDs(t, engine) })
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

// Ids as long as the port promises.
func longIDs(t *testing.T, engine workflows.Engine) {
	b := newBench(t, engine)
	defer b.end(t, b.work(t))
	for _, size := range lengths() {
		id := b.run + "~_.-" + strings.Repeat("x", size-len(b.run)-4)
		for _, name := range []string{"three", "parent", "nap", "flaky"} {
			err := engine.Schedule(t.Context(), name, id+"-"+name, nil)
			if err != nil {
				t.Logf("%d bytes, %s: %v", size, name, err)
				continue
			}
			s := b.until(t, id+"-"+name, ended)
			t.Logf("%d bytes, %s: %s %s", size, name, s.Status, s.Failure)
		}
	}
}

func lengths() []int {
	if os.Getenv("LONG") != "" {
		return []int{100, 400, 900, 1500}
	}
	return []int{500}
}
