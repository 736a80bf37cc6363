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

// TestStopsWhileCommandsRun tells an application to stop in the middle of a batch,
// of a transfer that is to begin soon and of an order that waits for a signal.
// Started again on the same data they go on, on both engines.
func TestStopsWhileCommandsRun(t *testing.T) {
	for name, stack := range map[string]func(*testing.T) servers.StackOptions{
		"Dapr's engine": fixed(servers.StackOptions{}), "embedded engine": onEmbedded,
	} {
		t.Run(name, func(t *testing.T) {
			const soon = 8 * time.Second
			o := stack(t)
			o.Args = []string{"--data", filepath.Join(t.TempDir(), "data")}
			d := startDepot(t, o)
			keys := atOnce(60, func(int) string { return d.account(t, 10, 0) })
			_, order := d.order(t, nil)
			ask := params{"from": keys[0], "to": keys[1], "amount": 1}
			start := time.Now().Add(2 * time.Second).UTC().Format(time.RFC3339Nano)
			later := d.post(t, transfer, ask, query("startAt", start)).accepted().ID
			batch := d.post(t, accrueForAll, day(1), query("ratePerSecond", "12")).accepted().ID
			d.awaitProgress(t, accrueForAll, batch, "is at work", func(p progress) bool { return p.Items != nil && p.Items.Succeeded > 0 })
			app := d.pid(t, "app-1", 0)
			began := time.Now()
			require.NoError(t, syscall.Kill(app, syscall.SIGTERM))
			eventually(t, "the application is gone", func() bool { return errors.Is(syscall.Kill(app, 0), syscall.ESRCH) })
			require.Less(t, time.Since(began), soon)
			require.Zero(t, d.Wait(), "the application's exit code")

			world := d.world
			d = startDepot(t, o)
			d.world = world
			p := d.awaitEnd(t, accrueForAll, batch)
			require.Equal(t, []any{"completed", &items{Total: 60, Succeeded: 60}}, []any{p.Status, p.Items})
			d.accruedOnce(t, keys, day(1))
			require.Equal(t, "completed", d.awaitEnd(t, transfer, later).Status)
			require.Equal(t, "waiting", d.progress(t, orderGoods, order).Status)
			d.signal(t, order, "approved", params{"by": "Jana"}).accepted()
			require.Equal(t, "completed", d.awaitEnd(t, orderGoods, order).Status)
		})
	}
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
