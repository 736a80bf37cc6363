package tests

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/tests/servers"
)

// TestStopsGracefully tells an application under load to stop, and starts
// everything again on the same data.
func TestStopsGracefully(t *testing.T) {
	const soon = 8 * time.Second
	o := servers.StackOptions{Args: []string{"--data", filepath.Join(t.TempDir(), "data")}}
	b := startBank(t, o)
	l := newLedger(t, b, rand.Uint64(), 10, 10)
	l.await(1000)
	app := b.pid(t, "app-1", 0)
	began := time.Now()
	require.NoError(t, syscall.Kill(app, syscall.SIGTERM))
	eventually(t, "the application is gone", func() bool { return errors.Is(syscall.Kill(app, 0), syscall.ESRCH) })
	require.Less(t, time.Since(began), soon)
	require.Zero(t, b.Wait(), "the application's exit code")

	b = startBank(t, o)
	for _, key := range b.keys(t, "1000") {
		r := b.verify(t, key)
		require.True(t, r.OK, "%s: %+v", key, r)
	}
	l.bank.Store(b) // the clients have been trying all the time
	l.await(100)
	l.check()
}

// TestStoreHangs freezes the sidecar for longer than any call may take: nobody
// waits for ever, and nothing is lost.
func TestStoreHangs(t *testing.T) {
	const hangs, deadline = 15 * time.Second, 13 * time.Second
	b := startBank(t, servers.StackOptions{})
	l := newLedger(t, b, rand.Uint64(), 20, 10)
	l.await(500)
	key, command := b.account(t, 10, 0), unique("deposit")
	b.post(t, deposit, params{"account": key, "amount": 1}, id(command)).completed()

	frozen := time.After(hangs)
	thaw := b.freeze(t, "sidecar-1")
	require.Equal(t, http.StatusOK, b.get(t, "/healthz").status)
	b.get(t, "/readyz").fails("unavailable")
	calls := []string{
		of(key, "events"),
		of(key, "projections", "balance") + "?consistency=strong",
		of(key, "projections", "balance") + "?sequence=1",
		of(key, "classifications", "open") + "?asOf=2026-01-01T00:00:00Z",
		path("entities", accountType), "/commands", path("commands", deposit, command),
		path("commands", deposit, command, "events"),
	}
	answers := atOnce(len(calls), func(i int) answer {
		began := time.Now()
		a := b.get(t, calls[i])
		if took := time.Since(began); took > deadline {
			t.Errorf("%s was answered after %s", calls[i], took)
		}
		return a
	})
	for _, a := range answers {
		a.fails("unavailable")
		require.NotEmpty(t, a.header.Get("Retry-After"))
	}
	<-frozen // the time is what is tried
	thaw()

	l.await(500)
	l.check()
	require.NotZero(t, l.unclear)
	require.Less(t, l.slowest, deadline)
	require.True(t, slices.Contains(b.keys(t, "1000"), key))
}
