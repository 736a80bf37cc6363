package actors_test

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/flow"
	"github.com/longrun-dev/longrun/internal/stream"
)

// Hosts of two releases, and hosts with two clocks.

// A host that does not know a command yet has no answer to it: a step would be
// taken for refused, and a settled one for what never happened.
func TestAHostOfAnOlderReleaseHasNoAnswer(t *testing.T) {
	older := es.NewDomain("shop", till, content, log, fullish, unsure, had, take).Catalog()
	owner, err := actors.New([]*catalog.Domain{older}, stream.NewMemory(), nil, actors.Config{})
	require.NoError(t, err)
	t.Cleanup(owner.Close)
	newer, err := actors.New([]*catalog.Domain{domain()}, stream.NewMemory(), &away{to: owner}, actors.Config{})
	require.NoError(t, err)
	t.Cleanup(newer.Close)
	for _, settle := range []bool{false, true} {
		c := cmd("put", "c1", "a", 1)
		c.Step, c.Settle = "put", settle
		_, f := do(t, newer, c)
		require.Equal(t, catalog.Unavailable, f.Code)
	}
	_, f := do(t, newer, cmd("put", "c2", "a", 1))
	require.Equal(t, catalog.Unavailable, f.Code)
}

// A settlement that was stamped before its cause would not be found by a try that
// comes late, and only looks back as far as its cause.
func TestASettlementIsNeverOlderThanItsCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSystem(t, stream.NewMemory())
		c := cmd("put", "c1", "a", 1)
		c.Step, c.CauseAt, c.Settle = "put", time.Now().Add(3*time.Minute), true
		_, f := do(t, s, c)
		require.NotNil(t, f)
		require.Equal(t, catalog.Unavailable, f.Code)
	})
}

// Nobody goes on with a command of which a newer release knows more.
func TestACommandWithAnEventOfANewerRelease(t *testing.T) {
	store := stream.NewMemory()
	s := newSystem(t, store)
	id := stream.ID{Type: flow.CommandType, Key: "c1"}
	c := stream.Commit{Stream: id, Number: 1, ID: [16]byte{1}, First: 1, At: time.Now().UTC().Truncate(time.Microsecond), Appends: []stream.Append{{
		ID: "c1/x", Events: []stream.Event{
			{Name: flow.EventCreated, Version: 1, Data: json.RawMessage(`{"command":"shop.put"}`)},
			{Name: "taken-over", Version: 1, Data: json.RawMessage(`{}`)},
		},
	}}}
	err := store.Insert(t.Context(), []stream.Entry{{Key: id.CommitKey(1), Value: c.Encode(), Partition: id.Partition()}})
	require.NoError(t, err)
	_, err = s.CommandState(t.Context(), "c1")
	require.Equal(t, catalog.Unavailable, codeOf(err))

	p, err := s.Progress(t.Context(), "shop.put", "c1", nil)
	require.NoError(t, err, "reads are answered")
	require.Equal(t, flow.StatusCreated, p.Status)
}
