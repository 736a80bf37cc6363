package tests

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/tests/servers"
)

// TestHosting hosts an actor in both ways at a real sidecar. What a caller and a
// handler see is the same.
func TestHosting(t *testing.T) {
	stack := servers.ForTest[*servers.Stack](t)(servers.StartStack(servers.StackOptions{}))
	for mode, protocol := range map[string]string{actors.HostStream: "", actors.HostHTTP: "http"} {
		t.Run(mode, func(t *testing.T) {
			h := startHost(t, stack, protocol)
			t.Run("calls", h.answersCalls)
			t.Run("faults", h.passesFaultsOn)
			t.Run("the sidecar is killed", h.survivesKill)
			t.Run("the sidecar is stopped", h.survivesStop)
			t.Run("stop", h.answersWhatIsInFlight)
		})
	}
}

// host is a hosted echo actor.
type host struct {
	dapr    *servers.Sidecar
	sidecar *actors.Sidecar
	stop    func(context.Context) error
	*echo
}

// startHost hosts at a new sidecar of the stack, in the way that suits it.
func startHost(t *testing.T, stack *servers.Stack, protocol string) *host {
	t.Helper()
	dapr := servers.ForTest[*servers.Sidecar](t)(stack.StartSidecar(protocol))
	sidecar, err := actors.Connect(t.Context(), actors.SidecarConfig{Endpoint: dapr.GRPC, CallbackAddr: dapr.Callback})
	require.NoError(t, err)
	t.Cleanup(func() { _ = sidecar.Close() })
	h := &host{
		dapr: dapr, sidecar: sidecar,
		echo: &echo{arrived: make(chan struct{}), released: make(chan struct{})},
	}
	h.stop, err = sidecar.Host(t.Context(), actors.HostAuto, h.echo)
	require.NoError(t, err)
	t.Cleanup(func() { _ = h.stop(context.Background()) })
	h.awaitHealthy(t)
	return h
}

func (h *host) awaitHealthy(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, err := h.sidecar.Invoke(t.Context(), "echo", "probe", "echo", nil)
		return err == nil && h.sidecar.Healthy(t.Context()) == nil
	}, time.Minute, 20*time.Millisecond)
}

func (h *host) answersCalls(t *testing.T) {
	var group sync.WaitGroup
	for i := range 64 {
		group.Go(func() {
			payload := bytes.Repeat([]byte{byte(i)}, i*i*512) // up to 2 MiB, empty too
			answer, err := h.sidecar.Invoke(t.Context(), "echo", fmt.Sprintf("a-%d_2e.x", i), "echo", payload)
			if err != nil || !bytes.Equal(answer, payload) {
				t.Errorf("call %d: %d bytes, %v", i, len(answer), err)
			}
		})
	}
	group.Wait()
}

func (h *host) passesFaultsOn(t *testing.T) {
	for _, method := range []string{"fail", "panic"} {
		_, err := h.sidecar.Invoke(t.Context(), "echo", "a", method, nil)
		require.ErrorContains(t, err, "on purpose", method)
	}
	_, err := h.sidecar.Invoke(t.Context(), "echo", "a", "echo", nil)
	require.NoError(t, err)
}

func (h *host) survivesKill(t *testing.T) { h.survives(t, syscall.SIGKILL) }
func (h *host) survivesStop(t *testing.T) { h.survives(t, syscall.SIGTERM) }

// survives shows that the handler hears of a lost sidecar, and hosts again when
// there is one again.
func (h *host) survives(t *testing.T, signal syscall.Signal) {
	t.Helper()
	lost := h.lost.Load()
	require.NoError(t, h.dapr.Restart(signal))
	require.Eventually(t, func() bool { return h.lost.Load() > lost }, time.Minute, 5*time.Millisecond)
	h.awaitHealthy(t)
}

// answersWhatIsInFlight stops hosting during a call.
func (h *host) answersWhatIsInFlight(t *testing.T) {
	answered := make(chan error, 1)
	go func() {
		answer, err := h.sidecar.Invoke(t.Context(), "echo", "slow", "wait", []byte("late"))
		if err == nil && string(answer) != "late" {
			err = fmt.Errorf("answer %q", answer)
		}
		answered <- err
	}()
	<-h.arrived
	short, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- h.stop(short) }()
	require.Eventually(t, func() bool { // nothing new comes in
		_, err := h.sidecar.Invoke(short, "echo", "other", "echo", nil)
		return err != nil
	}, 10*time.Second, time.Millisecond)
	close(h.released)
	require.NoError(t, <-answered)
	require.NoError(t, <-stopped)
	require.NoError(t, h.sidecar.Healthy(t.Context()), "a sidecar that hosts nothing is healthy")
}

// echo answers with what it was given.
type echo struct {
	lost     atomic.Int32
	arrived  chan struct{} // closed when the call of "wait" has arrived
	released chan struct{} // closed to let it end
}

func (*echo) Types() []string { return []string{"echo"} }

func (e *echo) Invoke(ctx context.Context, _, _, method string, payload []byte) ([]byte, error) {
	switch method {
	case "fail":
		return nil, errors.New("on purpose")
	case "panic":
		panic("on purpose")
	case "wait":
		close(e.arrived)
		select {
		case <-e.released:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return payload, nil
}

func (*echo) Deactivate(context.Context, string, string) {}

func (e *echo) Lost() { e.lost.Add(1) }
