package catalog_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/internal/catalog"
)

// often is what the classifier "opened" asks for.
type often struct {
	Times int    `json:"times"`
	By    string `json:"by,omitempty"`
}

// shy does not come back from JSON.
type shy struct{}

func (shy) MarshalJSON() ([]byte, error) { return nil, errors.New("not for others") }
func (*shy) UnmarshalJSON([]byte) error  { panic("not from others") }

// house is a catalog of doors and gates, whose keys are of one Go type.
type house struct {
	*catalog.Catalog
	door, gate *es.Entity[key]
	opened     *es.Classifier[key, often]
	used       *es.Classifier[key, es.None]
	shy        *es.Classifier[key, shy]
}

func newHouse(t *testing.T) house {
	t.Helper()
	var h house
	var times *es.Projection[key, int]
	var doors, gates []es.Definition
	h.door, times, doors = door("door")
	h.gate, _, gates = door("gate")
	gates = gates[:2]
	h.opened = es.NewClassifier("opened", times, func(p often, n int) es.Verdict { return es.If(n >= p.Times) })
	h.used = es.NewClassifier("worn", times, func(_ es.None, n int) es.Verdict { return es.If(n > 99) })
	h.shy = es.NewClassifier("shy", times, func(shy, int) es.Verdict { return es.Included })
	all := append(append(doors, gates...), h.opened, h.used, h.shy)
	var err error
	h.Catalog, err = catalog.New(es.NewDomain("house", all...).Catalog())
	require.NoError(t, err)
	return h
}

func TestAGroupIsWrittenAndReadAgain(t *testing.T) {
	h := newHouse(t)
	a, b := h.opened.With(often{Times: 2, By: "<me>"}), h.used.With(es.None{})
	for form, g := range map[string]es.Group[key]{
		`{"all":"house.door"}`: h.door.All(),
		`{"entity":"house.door","classifier":"opened","parameters":{"by":"<me>","times":2}}`:                          a,
		`{"entity":"house.door","classifier":"worn","parameters":{}}`:                                                 b,
		`{"and":[{"entity":"house.door","classifier":"worn","parameters":{}},{"not":{"or":[{"all":"house.door"}]}}]}`: es.And(b, es.Not(es.Or(h.door.All()))),
	} {
		require.NoError(t, h.Check(g.Catalog()))
		written, err := g.Catalog().MarshalJSON()
		require.NoError(t, err)
		require.Equal(t, form, string(written), "names in order, and nothing escaped that people read")
		escaped, err := json.Marshal(g.Catalog()) // as a part of something larger
		require.NoError(t, err)
		for _, stored := range [][]byte{written, escaped} {
			read, err := h.Group(stored)
			require.NoError(t, err)
			again, err := read.MarshalJSON()
			require.NoError(t, err)
			require.Equal(t, form, string(again))
			require.Equal(t, g.Catalog().Params, read.Params, "what was given, and what was recorded")
			require.Equal(t, g.Catalog().EntityOf(), read.EntityOf())
		}
	}
}

func TestGroupsThatCannotBeRead(t *testing.T) {
	h := newHouse(t)
	worn := `{"entity":"house.door","classifier":"worn"}`
	for form, code := range map[string]catalog.Code{
		``:                      catalog.Invalid,
		`null`:                  catalog.Invalid,
		`{}`:                    catalog.Invalid,
		`[]`:                    catalog.Invalid,
		`{"and":[]}`:            catalog.Invalid,
		`{"not":{}}`:            catalog.Invalid,
		`{"xor":[]}`:            catalog.Invalid,
		worn + worn:             catalog.Invalid,
		`{"all":"house.shed"}`:  catalog.NotFound,
		`{"classifier":"worn"}`: catalog.NotFound,
		`{"entity":"house.door","classifier":"torn"}`:                                  catalog.NotFound,
		`{"entity":"house.door"}`:                                                      catalog.NotFound,
		`{"all":"house.door","not":` + worn + `}`:                                      catalog.Invalid,
		`{"and":[` + worn + `],"or":[` + worn + `]}`:                                   catalog.Invalid,
		`{"entity":"house.door","classifier":"opened","parameters":{"times":"often"}}`: catalog.Invalid,
		`{"or":[` + worn + `,{"all":"house.gate"}]}`:                                   catalog.Internal,
		`{"entity":"house.door","classifier":"shy","parameters":{}}`:                   catalog.Internal,
		`{"and":[{"not":{"entity":"house.door","classifier":"shy","parameters":{}}}]}`: catalog.Internal,
	} {
		_, err := h.Group([]byte(form))
		requireFault(t, code, err, form)
	}
	g, err := h.Group([]byte(worn))
	require.NoError(t, err, "no parameters are none")
	require.JSONEq(t, `{}`, string(g.JSON))
}

func TestGroupsThatCannotBeResolved(t *testing.T) {
	h := newHouse(t)
	other := newHouse(t)
	for name, g := range map[string]es.Group[key]{
		"never made":        {},
		"of one never made": es.Not(es.Group[key]{}),
		"of two types":      es.Or(h.door.All(), h.gate.All()),
		"of another home":   other.door.All(),
		"by another home":   es.And(h.door.All(), other.used.With(es.None{})),
		"without JSON":      h.shy.With(shy{}),
	} {
		requireFault(t, catalog.Internal, h.Check(g.Catalog()), name)
	}
	_, err := json.Marshal(h.shy.With(shy{}).Catalog())
	require.Error(t, err)
}

func requireFault(t *testing.T, code catalog.Code, err error, what string) {
	t.Helper()
	var f *catalog.Fault
	require.ErrorAs(t, err, &f, what)
	require.Equal(t, code, f.Code, "%s: %v", what, err)
}

// Kleene's three values, written out.
func TestVerdictsOfGroups(t *testing.T) {
	h := newHouse(t)
	const u, i, e = es.Undecided, es.Included, es.Excluded
	all := []es.Verdict{u, i, e}
	and := map[[2]es.Verdict]es.Verdict{{u, u}: u, {u, i}: u, {u, e}: e, {i, i}: i, {i, e}: e, {e, e}: e}
	or := map[[2]es.Verdict]es.Verdict{{u, u}: u, {u, i}: i, {u, e}: u, {i, i}: i, {i, e}: i, {e, e}: e}
	not := map[es.Verdict]es.Verdict{u: u, i: e, e: i}
	a, b := h.opened.With(often{Times: 1}), h.opened.With(often{Times: 2})
	for _, x := range all {
		for _, y := range all {
			judge := func(_ *catalog.Classifier, params any) (catalog.Verdict, error) {
				return map[int]es.Verdict{1: x, 2: y}[params.(*often).Times], nil
			}
			of := func(g es.Group[key]) es.Verdict {
				v, err := g.Catalog().Verdict(judge)
				require.NoError(t, err)
				return v
			}
			pair := [2]es.Verdict{x, y}
			if _, there := and[pair]; !there {
				pair = [2]es.Verdict{y, x}
			}
			require.Equal(t, and[pair], of(es.And(a, b)), "%v and %v", x, y)
			require.Equal(t, or[pair], of(es.Or(a, b)), "%v or %v", x, y)
			require.Equal(t, not[x], of(es.Not(a)), "not %v", x)
			require.Equal(t, x, of(es.And(h.door.All(), a)))
			require.Equal(t, i, of(es.Or(a, h.door.All())))
			require.Equal(t, e, of(es.Not(h.door.All())))
			require.Equal(t, of(es.Not(es.And(a, b))), of(es.Or(es.Not(a), es.Not(b))), "De Morgan")
		}
	}
}

func TestAGroupEndsAtAnError(t *testing.T) {
	h := newHouse(t)
	broken := errors.New("broken")
	judge := func(_ *catalog.Classifier, params any) (catalog.Verdict, error) {
		if params.(*often).Times == 2 {
			return 0, broken
		}
		return es.Excluded, nil
	}
	a, b := h.opened.With(often{Times: 1}), h.opened.With(often{Times: 2})
	_, err := es.Not(es.And(b, a)).Catalog().Verdict(judge)
	require.ErrorIs(t, err, broken)
	v, err := es.And(a, b).Catalog().Verdict(judge)
	require.NoError(t, err, "what is decided is not asked")
	require.Equal(t, es.Excluded, v)
}

func TestWhatAGroupNeeds(t *testing.T) {
	h := newHouse(t)
	require.Empty(t, h.door.All().Catalog().Needs())
	twice := es.And(h.opened.With(often{}), es.Not(h.used.With(es.None{})), h.door.All())
	require.Len(t, twice.Catalog().Needs(), 1, "each projection once")
}
