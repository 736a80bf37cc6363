package es_test

import (
	"encoding/json"
	"errors"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/internal/catalog"
)

// eventOf is what the runtime sees of an event.
func eventOf(def es.EventDef) *catalog.Event {
	return es.NewDomain("x", es.NewEntity[CounterID]("x", def)).Catalog().Entities[0].Events[0]
}

// step upcasts By from n to 10·n+digit, so that the result tells the steps.
func step(digit int) es.EventOption {
	return es.Upcast(func(data []byte) ([]byte, error) {
		var e Counted
		if err := json.Unmarshal(data, &e); err != nil {
			return nil, err
		}
		return []byte(`{"By":` + strconv.Itoa(10*e.By+digit) + `}`), nil
	})
}

func TestUpcastersRunInOrderFromTheStoredVersion(t *testing.T) {
	e := eventOf(es.EventOf[Counted](step(1), step(2), step(3)))
	require.Equal(t, 4, e.Version)
	for version, want := range map[int]int{1: 7123, 2: 723, 3: 73, 4: 7} {
		got, err := e.Decode(version, []byte(`{"By":7}`))
		require.NoError(t, err)
		require.Equal(t, &Counted{want}, got, "version %d", version)
	}
}

func TestEventsThatCannotBeRead(t *testing.T) {
	broken := es.Upcast(func([]byte) ([]byte, error) { return nil, errors.New("no such bucket") })
	e := eventOf(es.EventOf[Counted](broken))
	for _, c := range []struct {
		version int
		data    string
		says    string
	}{
		{0, `{}`, "version 0, this release knows 1 to 2"},
		{3, `{}`, "version 3, this release knows 1 to 2"},
		{1, `{}`, "upcast counted: no such bucket"},
		{2, `{`, "decode counted: "},
		{2, `{"By":"many"}`, "decode counted: "},
	} {
		_, err := e.Decode(c.version, []byte(c.data))
		require.ErrorContains(t, err, c.says)
	}
	_, err := eventOf(es.EventOf[Counted](es.Was(func(countedV1) Counted { return Counted{} }))).Decode(1, []byte(`{"Times":"x"}`))
	require.ErrorContains(t, err, "upcast counted: ")
}

// A newer release may have added a field: it is left alone.
func TestFieldsThatAreNotKnownAreIgnored(t *testing.T) {
	got, err := eventOf(es.EventOf[Counted]()).Decode(1, []byte(`{"By":7,"Colour":"red"}`))
	require.NoError(t, err)
	require.Equal(t, &Counted{7}, got)
}

func TestEveryDecodeMakesAValueOfItsOwn(t *testing.T) {
	e := eventOf(es.EventOf[Counted]())
	one, err := e.Decode(1, []byte(`{"By":1}`))
	require.NoError(t, err)
	two, err := e.Decode(1, []byte(`{}`))
	require.NoError(t, err)
	require.Equal(t, &Counted{1}, one)
	require.Equal(t, &Counted{0}, two)
}
