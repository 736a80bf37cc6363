package tests

import (
	"path/filepath"
	"testing"

	"github.com/longrun-dev/longrun/tests/servers"
)

// way is one of the ways in which a bank runs.
type way struct {
	name    string
	stack   func(t *testing.T) servers.StackOptions
	shows   func(t *testing.T, b *bank) // that it ran in this way
	batches []journey                   // those that make a difference here
}

// ways differ in nothing that users see.
var ways = []way{
	{"event stream", fixed(servers.StackOptions{}), both(showsShortCalls, showsAgreement), batchJourneys},
	{"HTTP callbacks", fixed(servers.StackOptions{
		Args: []string{"--app-protocol-http"}, Env: []string{"LONGRUN_ACTOR_HOSTING=http"},
	}), showsShortCalls, batchJourneys[:2]},
	{"no short way", fixed(servers.StackOptions{Env: []string{"LONGRUN_SHORT_WAY=off"}}), showsNoShortCalls, batchJourneys[:2]},
	{"three replicas", fixed(servers.StackOptions{Replicas: 3}), both(showsEveryReplicaAtWork, showsAgreement), batchJourneys},
	{"embedded engine", onEmbedded, showsShortCalls, batchJourneys},
	{"PostgreSQL", onPostgres, both(showsShortCalls, showsAgreement), batchJourneys[:4]},
	{"Redis", onRedis, showsShortCalls, batchJourneys[:2]},
}

// journey is something that users do, on accounts of their own.
type journey struct {
	name string
	run  func(t *testing.T, b *bank)
}

// TestEndToEnd takes every journey on every way: all journeys of a way at the
// same time, and then those that go over all accounts.
func TestEndToEnd(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			b := startBank(t, w.stack(t))
			t.Run("journeys", func(t *testing.T) {
				for _, journeys := range [][]journey{
					commandJourneys, bulkJourneys, readJourneys, followJourneys, inputJourneys, bankJourneys, edgeJourneys, groupJourneys,
					transferJourneys, routingJourneys,
				} {
					for _, j := range journeys {
						t.Run(j.name, func(t *testing.T) {
							t.Parallel()
							j.run(t, b)
						})
					}
				}
			})
			for _, j := range w.batches {
				t.Run(j.name, func(t *testing.T) { j.run(t, b) })
			}
			w.shows(t, b)
		})
	}
}

func fixed(o servers.StackOptions) func(*testing.T) servers.StackOptions {
	return func(*testing.T) servers.StackOptions { return o }
}

// onEmbedded drives commands that run on with the engine in the process.
func onEmbedded(t *testing.T) servers.StackOptions {
	t.Helper()
	return servers.StackOptions{Env: []string{
		"LONGRUN_WORKFLOW_ENGINE=embedded", "LONGRUN_EMBEDDED_STORE=" + filepath.Join(t.TempDir(), "workflows.db"),
	}}
}

func onPostgres(t *testing.T) servers.StackOptions {
	t.Helper()
	return withPostgres(servers.ForTest[*servers.Postgres](t)(servers.StartPostgres()))
}

func withPostgres(server *servers.Postgres) servers.StackOptions {
	return servers.StackOptions{Components: "postgres", Env: []string{"LONGRUN_POSTGRES=" + server.DSN}}
}

func onRedis(t *testing.T) servers.StackOptions {
	t.Helper()
	server := servers.ForTest[*servers.Redis](t)(servers.StartRedis())
	return servers.StackOptions{Components: "redis-env", Env: []string{"LONGRUN_REDIS=" + server.Addr}}
}

// both makes one check of two.
func both(this, that func(*testing.T, *bank)) func(*testing.T, *bank) {
	return func(t *testing.T, b *bank) { this(t, b); that(t, b) }
}

func showsShortCalls(t *testing.T, b *bank) {
	if b.metric(t, b.API[0], "longrun_calls_short_total") == 0 {
		t.Error("no call took the short way")
	}
}

func showsNoShortCalls(t *testing.T, b *bank) {
	if n := b.metric(t, b.API[0], "longrun_calls_short_total"); n != 0 {
		t.Errorf("%v calls took the short way", n)
	}
}

func showsEveryReplicaAtWork(t *testing.T, b *bank) {
	for i, replica := range b.API {
		if b.metric(t, replica, "longrun_entities_open") == 0 {
			t.Errorf("replica %d holds no entity", i+1)
		}
	}
}
