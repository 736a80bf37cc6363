package es_test

import (
	"errors"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/internal/catalog"
)

// empty reads an entity without events.
type empty struct{}

func (empty) Now(p *catalog.Projection) catalog.Fold               { return p.New() }
func (empty) Past(p *catalog.Projection, _ time.Time) catalog.Fold { return p.New() }

func commandOf(d es.Definition) *catalog.Command {
	return es.NewDomain("x", d).Catalog().Commands[0]
}

func add[R any](decide func(int, es.Call[Add]) (es.Events, R, error)) *catalog.Command {
	return commandOf(es.NewCommand("add", es.Decide("count", Add.on, Count, decide)))
}

func TestADecisionIsToldWhatTheCallerSaid(t *testing.T) {
	var got es.Call[Add]
	c := add(func(_ int, call es.Call[Add]) (es.Events, es.None, error) {
		got = call
		return nil, es.None{}, nil
	})
	params, err := c.Decode([]byte(`{"counter":"c","by":5}`))
	require.NoError(t, err)
	require.Equal(t, "c", c.Direct().Key(params))
	require.Equal(t, reflect.TypeFor[Add](), c.Params)
	at := time.Now().UTC()
	_, err = c.Direct().Decide(empty{}, catalog.Call{
		Params: params, ID: "id", At: at, Who: "who", Source: "source", Commentary: "why", CorrelationID: "corr", CausationID: "cause",
	})
	require.NoError(t, err)
	require.Equal(t, es.Call[Add]{
		In: Add{"c", 5}, ID: "id", At: at, Who: "who", Source: "source", Commentary: "why", CorrelationID: "corr", CausationID: "cause",
	}, got)
}

func TestParametersThatDoNotFit(t *testing.T) {
	c := add(func(int, es.Call[Add]) (es.Events, es.None, error) { return nil, es.None{}, nil })
	for _, bad := range []string{``, `{`, `[]`, `{"counter":"c","by":"five"}`, `{"counter":"c","by":5,"colour":"red"}`} {
		_, err := c.Decode([]byte(bad))
		require.Error(t, err, bad)
	}
}

func TestWhatADecisionComesTo(t *testing.T) {
	decide := func(c *catalog.Command) (catalog.Outcome, error) {
		return c.Direct().Decide(empty{}, catalog.Call{Params: &Add{"c", 5}})
	}
	t.Run("events and a result", func(t *testing.T) {
		out, err := decide(add(func(n int, c es.Call[Add]) (es.Events, int, error) {
			return es.Events{Counted{c.In.By}, Reset{}}, n + c.In.By, nil
		}))
		require.NoError(t, err)
		require.Equal(t, []any{Counted{5}, Reset{}}, out.Events)
		require.Equal(t, "5", string(out.Result))
	})
	t.Run("none", func(t *testing.T) {
		out, err := decide(add(func(int, es.Call[Add]) (es.Events, es.None, error) { return nil, es.None{}, nil }))
		require.NoError(t, err)
		require.Equal(t, catalog.Outcome{}, out)
	})
	t.Run("an error, and then nothing else counts", func(t *testing.T) {
		broken := errors.New("broken")
		out, err := decide(add(func(int, es.Call[Add]) (es.Events, int, error) { return es.Events{Reset{}}, 7, broken }))
		require.ErrorIs(t, err, broken)
		require.Equal(t, catalog.Outcome{}, out)
	})
	t.Run("a result that is not JSON", func(t *testing.T) {
		_, err := decide(add(func(int, es.Call[Add]) (es.Events, float64, error) { return nil, math.NaN(), nil }))
		require.ErrorContains(t, err, "result of count")
	})
}

// The runtime tells a no from a fault of the code by these.
func TestRefusalsAreFaultsWithACode(t *testing.T) {
	var f *catalog.Fault
	require.ErrorAs(t, es.Reject("too-high", "%d", 101), &f)
	require.Equal(t, &catalog.Fault{Code: catalog.Rejected, Reason: "too-high", Detail: "101"}, f)
	require.ErrorAs(t, es.Invalid("day", "%s is over", "monday"), &f)
	require.Equal(t, &catalog.Fault{
		Code: catalog.Invalid, Detail: "day monday is over",
		Fields: []catalog.Field{{Field: "day", Message: "monday is over"}},
	}, f)
}

// What two views of a decision need is loaded once.
func TestAViewNeedsEachProjectionOnce(t *testing.T) {
	v := es.Join3(Count, es.Join2(Resets, Count, func(r, n int) int { return r + n }), es.Past(Resets),
		func(int, int, func(time.Time) int) int { return 0 })
	c := commandOf(es.NewCommand("add", es.Decide("add", Add.on, v, func(int, es.Call[Add]) (es.Events, es.None, error) {
		return nil, es.None{}, nil
	})))
	require.Equal(t, []*catalog.Projection{projectionOf(Count), projectionOf(Resets)}, c.Direct().Needs)
	require.Same(t, projectionOf(Count).Entity, c.Direct().Entity)
}
