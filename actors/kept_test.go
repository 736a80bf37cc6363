package actors_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

// A rejection that is asked for again finds its command's stream taken. That
// says nothing of the entity, which stays open: who asks again and again does
// not make it be read again and again.
func TestARepeatedRejectionKeepsTheEntityOpen(t *testing.T) {
	store := stream.NewMemory()
	s := newSystem(t, store)
	_, f := do(t, s, cmd("put", "c1", "a", 1))
	require.Nil(t, f)
	for range 2 {
		_, f = do(t, s, cmd("take", "c2", "a", 5))
		require.Equal(t, catalog.Rejected, f.Code)
	}
	before := store.Calls()
	_, err := s.Project(t.Context(), stream.ID{Type: "shop.till", Key: "a"}, "content", actors.At{})
	require.NoError(t, err)
	require.Equal(t, before, store.Calls())
}
