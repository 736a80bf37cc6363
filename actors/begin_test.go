package actors_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

// A command that another host brings before this one has begun waits: what is
// recorded must be listed, also if this host ends at once.
func TestNothingIsRecordedThatCannotBeListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, sidecar := stream.NewMemory(), &away{}
		early, err := actors.New([]*catalog.Domain{domain()}, store, sidecar, actors.Config{})
		require.NoError(t, err)
		sidecar.to = early
		defer early.Close()
		answered := make(chan error, 1)
		early.Start(t.Context(), cmd("put", "c1", "a", 1), func(_ actors.Answer, err error) { answered <- err })
		synctest.Wait()
		require.Empty(t, answered, "the command was carried out, and is not listed")

		require.NoError(t, early.Begin(t.Context()))
		require.NoError(t, <-answered)
		items, _, err := newSystem(t, store).Commands(t.Context(), "", "", "", 10)
		require.NoError(t, err)
		require.Len(t, items, 1)
	})
}
