package tests

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/tests/servers"
)

// TestWithoutABroker shows that a sidecar without a pub/sub component serves
// everything but topics.
func TestWithoutABroker(t *testing.T) {
	components := t.TempDir()
	store, err := os.ReadFile(filepath.Join("..", "components", "embedded", "statestore.yaml"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(components, "statestore.yaml"), store, 0o600))
	b := startBank(t, servers.StackOptions{Components: components})
	from, to := b.account(t, 10, 0), b.account(t, 0, 0)
	var p progress
	b.post(t, transfer, params{"from": from, "to": to, "amount": 4}, query("wait", "25s")).into(&p)
	require.Equal(t, "completed", p.Status)
	require.Equal(t, []int64{6, 4}, []int64{b.balance(t, from), b.balance(t, to)})
}
