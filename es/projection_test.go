package es_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/internal/catalog"
)

// tally has a state that JSON can leave out.
type tally struct {
	ByName map[string]int `json:"byName,omitempty"`
	Total  int            `json:"total,omitempty"`
}

func projectionOf(d es.Definition) *catalog.Projection {
	return es.NewDomain("x", d).Catalog().Projections[0]
}

func TestFoldsStartFromZeroAndIgnoreWhatTheyDoNotHandle(t *testing.T) {
	counts := projectionOf(es.NewProjection(Counter, "counts", es.On(func(n int, e Counted) int { return n + e.By })))
	require.Equal(t, []bool{true, false}, counts.Handles)
	f := counts.New()
	requireState(t, "0", f)
	f.Apply(1, &Reset{}, &catalog.Meta{})
	requireState(t, "0", f)
	f.Apply(0, &Counted{5}, &catalog.Meta{})
	requireState(t, "5", f)
	requireState(t, "0", counts.New())
}

func TestASnapshotReplacesTheStateWhole(t *testing.T) {
	f := projectionOf(es.NewProjection(Counter, "tally", es.On(func(s tally, e Counted) tally {
		return tally{ByName: map[string]int{"x": e.By}, Total: s.Total + e.By}
	}))).New()
	f.Apply(0, &Counted{5}, &catalog.Meta{})
	require.NoError(t, f.Unmarshal([]byte(`{}`)))
	requireState(t, "{}", f)

	f.Apply(0, &Counted{5}, &catalog.Meta{})
	require.Error(t, f.Unmarshal([]byte(`{"total":"many"}`)))
	requireState(t, `{"byName":{"x":5},"total":5}`, f) // as it was
}

func requireState(t *testing.T, want string, f catalog.Fold) {
	t.Helper()
	got, err := f.Marshal()
	require.NoError(t, err)
	require.Equal(t, want, string(got))
}
