package tests

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/tests/servers"
)

// ways are the ways in which a bank runs; what its users see is the same.
var ways = []struct {
	name  string
	stack servers.StackOptions
}{
	{"event stream", servers.StackOptions{}},
}

// journeys are what users do, each on accounts of its own.
var journeys = []struct {
	name string
	run  func(t *testing.T, b *bank)
}{
	{"a command is posted", postsACommand},
}

func TestEndToEnd(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			b := startBank(t, w.stack)
			for _, j := range journeys {
				t.Run(j.name, func(t *testing.T) {
					t.Parallel()
					j.run(t, b)
				})
			}
		})
	}
}

// postsACommand shows the answer to a command, and what it leaves behind.
func postsACommand(t *testing.T, b *bank) {
	key := b.account(t, 0, 0)
	command := unique("deposit")
	got := b.post(t, deposit, params{"account": key, "amount": 2540000}, id(command)).completed()
	require.Equal(t, done{
		ID: command, Command: deposit, Status: "completed",
		Entity: accountType, Key: key, Sequence: 2, Result: []byte("2540000"),
	}, got)
	require.JSONEq(t, "2540000", string(b.project(t, key, "balance").State))
	require.Equal(t, []string{"account-opened", "money-deposited"}, names(b.events(t, of(key, "events"))))
}
