package actors_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

// A box holds a text, and its author's code can be told to misbehave.
type (
	boxID  string
	filled struct {
		Text string `json:"text"`
	}
	fill struct {
		Box  boxID  `json:"box"`
		Text string `json:"text"`
		Size int    `json:"size"`
	}
	contents struct{ Text string }
)

func (filled) EventName() string { return "filled" }

func (f fill) on() boxID {
	if f.Box == "panic" {
		panic("a bug in a key")
	}
	return f.Box
}

func (c contents) MarshalJSON() ([]byte, error) {
	if c.Text == "unspeakable" {
		panic("a bug in a state")
	}
	return json.Marshal(c.Text)
}

func (c *contents) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &c.Text) }

// boxes is the domain of boxes, made anew for each call, with a fold given.
func boxes(fold func(contents, filled) contents, options ...es.EventOption) *catalog.Domain {
	box := es.NewEntity[boxID]("box", es.EventOf[filled](options...))
	held := es.NewProjection(box, "held", es.On(fold))
	return es.NewDomain("yard", box, held,
		es.NewCommand("fill", es.Decide("fill", fill.on, held, func(_ contents, c es.Call[fill]) (es.Events, es.None, error) {
			return es.Events{filled{c.In.Text}}, es.None{}, nil
		})),
		es.NewCommand("refill", es.Decide("refill", fill.on, held, func(_ contents, c es.Call[fill]) (es.Events, es.None, error) {
			return es.Events{filled{c.In.Text}}, es.None{}, nil
		}).MustExist()),
		es.NewCommand("tell", es.Decide("tell", fill.on, held, func(_ contents, c es.Call[fill]) (es.Events, string, error) {
			return nil, strings.Repeat("x", c.In.Size), nil
		})),
	).Catalog()
}

func last(_ contents, e filled) contents { return contents(e) }

func boxSystem(t *testing.T, store stream.Store, d *catalog.Domain) *actors.System {
	t.Helper()
	s, err := actors.New([]*catalog.Domain{d}, store, nil, actors.Config{})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

func boxCmd(name, id, key, text string, size int) actors.Command {
	params, _ := json.Marshal(fill{boxID(key), text, size})
	return actors.Command{Name: "yard." + name, ID: id, Params: params}
}

func codeOf(err error) catalog.Code {
	var f *catalog.Fault
	if errors.As(err, &f) {
		return f.Code
	}
	return ""
}

func TestParametersThatAreNotJSON(t *testing.T) {
	s := boxSystem(t, stream.NewMemory(), boxes(last))
	_, f := do(t, s, actors.Command{Name: "yard.fill", ID: "c1", Params: json.RawMessage(`{"box":"a","text":"x"} and more`)})
	require.NotNil(t, f)
	require.Equal(t, catalog.Invalid, f.Code)
}

func TestPanicsInAuthorsCode(t *testing.T) {
	t.Run("a key", func(t *testing.T) {
		s := boxSystem(t, stream.NewMemory(), boxes(last))
		_, f := do(t, s, boxCmd("fill", "c1", "panic", "x", 0))
		require.Equal(t, catalog.Internal, f.Code)
		require.NotContains(t, f.Detail, "goroutine")
	})
	t.Run("a state that does not marshal", func(t *testing.T) {
		store := stream.NewMemory()
		s := boxSystem(t, store, boxes(last))
		for i := range 100 { // a head is due meanwhile
			_, f := do(t, s, boxCmd("fill", fmt.Sprint("c", i), "a", "unspeakable", 0))
			require.Nil(t, f)
		}
		_, err := s.Project(t.Context(), stream.ID{Type: "yard.box", Key: "a"}, "held", actors.At{})
		require.Equal(t, catalog.Internal, codeOf(err), "%v", err)
		one := uint64(1)
		_, err = s.Project(t.Context(), stream.ID{Type: "yard.box", Key: "a"}, "held", actors.At{Sequence: &one})
		require.Equal(t, catalog.Internal, codeOf(err), "%v", err)
		_, f := do(t, s, boxCmd("fill", "c", "a", "x", 0))
		require.Nil(t, f)
	})
	for name, broken := range map[string]*catalog.Domain{
		"a fold":       boxes(func(contents, filled) contents { panic("a bug in a fold") }),
		"an upcaster":  boxes(last, es.Upcast(func([]byte) ([]byte, error) { panic("a bug in an upcaster") })),
		"a refusal":    boxes(last, es.Upcast(func([]byte) ([]byte, error) { return nil, errors.New("cannot be upcast") })),
		"a wrong type": boxes(last, es.Upcast(func([]byte) ([]byte, error) { return []byte(`7`), nil })),
	} {
		t.Run(name+" over stored events", func(t *testing.T) {
			store := stream.NewMemory()
			do(t, boxSystem(t, store, boxes(last)), boxCmd("fill", "c1", "a", "x", 0))
			s := boxSystem(t, store, broken)
			_, f := do(t, s, boxCmd("fill", "c2", "a", "x", 0))
			require.Equal(t, catalog.Internal, f.Code, "%v", f)
			require.NotContains(t, f.Detail, "goroutine", "no stack for callers")
			id, one := stream.ID{Type: "yard.box", Key: "a"}, uint64(1)
			for _, at := range []actors.At{{}, {Strong: true}, {Sequence: &one}} {
				_, err := s.Project(t.Context(), id, "held", at)
				require.Equal(t, catalog.Internal, codeOf(err), "%v", err)
				require.NotContains(t, err.Error(), "goroutine")
			}
		})
	}
}
