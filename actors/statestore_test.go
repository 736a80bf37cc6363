package actors

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/internal/stream"
)

// Store keys say to which partition they belong: what is read and put without an
// entry is found where entries are inserted.
func TestPartitionOf(t *testing.T) {
	for _, id := range []stream.ID{{Type: "bank.account", Key: "576"}, {Type: "a", Key: "~head"}, {Type: "Ä~", Key: "x||y~1"}} {
		require.Equal(t, id.Partition(), partitionOf(id.CommitKey(7)))
		require.Equal(t, id.Partition(), partitionOf(id.HeadKey()))
		require.True(t, isCommit(id.CommitKey(7)))
		require.False(t, isCommit(id.HeadKey()))
	}
	for _, key := range []string{"", "longrun~ready", "~", "a~1"} {
		require.False(t, isCommit(key), key)
	}
}

// The rows for stores that no test can run here are those of the documentation;
// the others are tested in tests/store_test.go.
func TestStoreKinds(t *testing.T) {
	cosmos := kindOf("state.azure.cosmosdb")
	require.Equal(t, stream.Traits{Name: "state.azure.cosmosdb", Rollback: true, MaxOps: 100}, cosmos.Traits)
	require.Equal(t, map[string]string{"partitionKey": "es~a~b"}, cosmos.partition("es~a~b"))

	unknown := kindOf("state.of-the-art")
	require.Equal(t, storeKind{Traits: stream.Traits{Name: "state.of-the-art", MaxOps: 1}}, unknown)
	require.Nil(t, unknown.partition("es~a~b"))
}
