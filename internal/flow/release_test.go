package flow_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/flow"
)

// releases are two of one command.
func releases(t *testing.T, older, newer *es.Command[order]) (before, now *catalog.Command) {
	t.Helper()
	for at, c := range map[**catalog.Command]*es.Command[order]{&before: older, &now: newer} {
		all, err := catalog.New(es.NewDomain("shop", shelves, count, c).Catalog())
		require.NoError(t, err)
		*at = all.Commands["shop.sell"]
	}
	return before, now
}

func begun(t *testing.T, def *catalog.Command) *flow.State {
	t.Helper()
	s := &flow.State{Progress: flow.Progress{ID: "c1"}}
	events, err := flow.Start(def, s, json.RawMessage(`{}`), flow.Options{}, nil, nil, noon)
	require.NoError(t, err)
	s, err = s.With(events, noon)
	require.NoError(t, err)
	return s
}

// A step that this release does not have is left to the one that has it.
func TestAStepOfAnotherReleaseIsLeftToIt(t *testing.T) {
	unavailable := func(events []flow.Event, err error) {
		t.Helper()
		var f *catalog.Fault
		require.ErrorAs(t, err, &f)
		require.Equal(t, catalog.Unavailable, f.Code)
		require.Empty(t, events)
	}
	before, now := releases(t, es.NewCommand("sell", decide("weigh"), decide("ship")), es.NewCommand("sell", decide("ship")))
	s := begun(t, before)
	unavailable(flow.Accept(now, s, flow.Report{Step: "weigh", Attempt: 1, Status: flow.StatusFailed}, noon))

	before, now = releases(t, es.NewCommand("sell", es.Delay("rest", after(time.Hour)), decide("ship")), es.NewCommand("sell", decide("ship")))
	s = begun(t, before)
	unavailable(flow.Tick(now, s, noon.Add(time.Hour)))
}

// A step that the release before did not have is taken where it stands now.
func TestAStepThatIsNewIsTaken(t *testing.T) {
	before, now := releases(t, es.NewCommand("sell", decide("ship")), es.NewCommand("sell", decide("ship"), decide("bill")))
	s := begun(t, before)
	events, err := flow.Accept(now, s, flow.Report{Step: "ship", Attempt: 1, Status: flow.StatusCompleted}, noon)
	require.NoError(t, err)
	s, err = s.With(events, noon)
	require.NoError(t, err)
	require.Equal(t, flow.Action{Do: flow.DoTry, Try: flow.Try{Step: "bill", Attempt: 1, Since: noon}}, flow.Next(now, s, noon))
}
