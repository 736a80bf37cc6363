package catalog_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/internal/catalog"
)

type (
	key     string
	opened  struct{ By string }
	closed  struct{}
	strange struct{}
	ask     struct {
		Key key `json:"key"`
	}
)

func (opened) EventName() string  { return "opened" }
func (closed) EventName() string  { return "closed" }
func (strange) EventName() string { return "Strange!" }
func (a ask) on() key             { return a.Key }

func count(n int, _ opened) int { return n + 1 }

// door makes one entity with one of everything, anew.
func door(name string, events ...es.EventDef) (entity *es.Entity[key], times *es.Projection[key, int], all []es.Definition) {
	if events == nil {
		events = []es.EventDef{es.EventOf[opened](), es.EventOf[closed]()}
	}
	entity = es.NewEntity[key](name, events...)
	times = es.NewProjection(entity, "times", es.On(count))
	return entity, times, []es.Definition{
		entity, times,
		es.NewClassifier("used", times, func(_ es.None, n int) es.Verdict { return es.If(n > 0) }),
		command("open", times),
	}
}

func command(name string, times *es.Projection[key, int]) *es.Command[ask] {
	return es.NewCommand(name, decide(name, times))
}

func decide(step string, times *es.Projection[key, int]) *es.DecideStep[ask, es.None] {
	return es.Decide(step, ask.on, times, func(int, es.Call[ask]) (es.Events, es.None, error) {
		return es.Events{opened{}}, es.None{}, nil
	})
}

func TestEverythingIsFoundByItsFullName(t *testing.T) {
	_, _, doors := door("door")
	_, _, gates := door("door") // of the same name in another domain
	c, err := catalog.New(es.NewDomain("house", doors...).Catalog(), es.NewDomain("garden", gates...).Catalog())
	require.NoError(t, err)
	for _, domain := range []string{"house", "garden"} {
		e := c.Entities[domain+".door"]
		require.Equal(t, domain+".door", e.Type)
		require.Same(t, e, c.Projections[e.Type]["times"].Entity)
		require.Same(t, e, c.Classifiers[e.Type]["used"].Entity)
		require.Equal(t, domain+".open", c.Commands[domain+".open"].Name)
		require.Equal(t, []*catalog.Projection{c.Projections[e.Type]["times"]}, e.Projections)
	}
	require.NotSame(t, c.Entities["house.door"], c.Entities["garden.door"])
}

func TestEventsAreFoundByNameByFormerNameAndByType(t *testing.T) {
	_, _, all := door("door", es.EventOf[closed](), es.EventOf[opened](es.Formerly("unlocked", "unbolted")))
	c, err := catalog.New(es.NewDomain("house", all...).Catalog())
	require.NoError(t, err)
	e := c.Entities["house.door"]
	for _, name := range []string{"opened", "unlocked", "unbolted"} {
		require.Equal(t, "opened", e.Event(name).Name)
		require.Equal(t, 1, e.Event(name).Index)
	}
	require.Nil(t, e.Event("painted"))
	require.Equal(t, "closed", e.EventOf(closed{}).Name)
	require.Equal(t, "opened", e.EventOf(&opened{}).Name)
	require.Nil(t, e.EventOf(strange{}))
	require.Nil(t, e.EventOf(nil))
}

// Faults come back all at once, and every time.
func TestFaults(t *testing.T) {
	_, times, _ := door("elsewhere")
	for name, c := range map[string]struct {
		domain func() []*catalog.Domain
		says   []string
	}{
		"names": {func() []*catalog.Domain {
			_, times, all := door("door")
			return domain("My House", append(all, command("Open It", times))...)
		}, []string{`domain "My House"`, `command "Open It"`}},
		"an entity's name": {func() []*catalog.Domain {
			_, _, all := door("Door")
			return domain("house", all...)
		}, []string{`entity "house.Door": a name is`}},
		"an event's name": {func() []*catalog.Domain {
			_, _, all := door("door", es.EventOf[opened](), es.EventOf[strange]())
			return domain("house", all...)
		}, []string{`event "Strange!" of "house.door"`}},
		"Longrun's own": {func() []*catalog.Domain {
			_, _, all := door("door")
			return domain("longrun", all...)
		}, []string{`domain "longrun": the name is Longrun's own`}},
		"a domain twice": {func() []*catalog.Domain {
			_, _, all := door("door")
			return append(domain("house", all...), domain("house")...)
		}, []string{`domain "house" is given twice`}},
		"everything twice": {func() []*catalog.Domain {
			_, _, all := door("door")
			_, _, again := door("door")
			return domain("house", append(append(all, all[1:]...), again[0], again[1])...)
		}, []string{`entity "house.door" is defined twice`, `projection "times" of house.door: defined twice`, `classifier "used" of house.door: defined twice`, `command "open" is defined twice`}},
		"no events": {func() []*catalog.Domain {
			return domain("house", es.NewEntity[key]("wall"))
		}, []string{`entity "house.wall" has no events`}},
		"an event twice": {func() []*catalog.Domain {
			_, _, all := door("door", es.EventOf[opened](), es.EventOf[opened](), es.EventOf[closed](es.Formerly("opened")))
			return domain("house", all...)
		}, []string{`event "opened" of "house.door" is declared twice`, `are one Go type`}},
		"a fold of what is not there": {func() []*catalog.Domain {
			e, _, all := door("door", es.EventOf[opened]())
			return domain("house", append(all, es.NewProjection(e, "shut", es.On(func(n int, _ closed) int { return n })))...)
		}, []string{`projection "shut" handles catalog_test.closed, which entity "door" does not declare`, `projection "shut" of "house.door" handles no event`}},
		"a fold of one event twice": {func() []*catalog.Domain {
			e, _, all := door("door")
			return domain("house", append(all, es.NewProjection(e, "twice", es.On(count), es.On(count)))...)
		}, []string{`projection "twice" handles catalog_test.opened twice`}},
		"what is of another domain": {func() []*catalog.Domain {
			return domain("house", times, command("open", times),
				es.NewClassifier("used", times, func(es.None, int) es.Verdict { return es.Included }))
		}, []string{`projection "times": its entity "elsewhere" is not in`, `command "open": its entity`, `classifier "used": its entity`}},
		"a projection left out": {func() []*catalog.Domain {
			e, times, _ := door("door")
			return domain("house", e, command("open", times))
		}, []string{`command "open": projection "times" is not in domain "house"`}},
		"projections of two entities": {func() []*catalog.Domain {
			a, inA, _ := door("a")
			b, inB, _ := door("b")
			both := es.Join2(inA, inB, func(x, y int) int { return x + y })
			return domain("house", a, b, inA, inB, es.NewClassifier("both", both, func(es.None, int) es.Verdict { return es.Included }))
		}, []string{`classifier "both": projection "times" is of entity "b", not "a"`}},
		"new and there": {func() []*catalog.Domain {
			e, times, _ := door("door")
			return domain("house", e, times, es.NewCommand("open", decide("open", times).MustBeNew().MustExist()))
		}, []string{`its entity cannot be new and exist`}},
	} {
		t.Run(name, func(t *testing.T) {
			domains := c.domain()
			for range 2 {
				_, err := catalog.New(domains...)
				for _, says := range c.says {
					require.ErrorContains(t, err, says)
				}
			}
		})
	}
}

func domain(name string, definitions ...es.Definition) []*catalog.Domain {
	return []*catalog.Domain{es.NewDomain(name, definitions...).Catalog()}
}

func TestDefinitionsBelongToOneDomain(t *testing.T) {
	_, _, all := door("door")
	_, err := catalog.New(domain("house", all...)...)
	require.NoError(t, err)
	_, err = catalog.New(domain("garden", all...)...)
	require.ErrorContains(t, err, `entity "garden.door" belongs to "house.door" already`)
	require.ErrorContains(t, err, `command "open" belongs to another domain already, as "house.open"`)
}

// Tests of one domain run at the same time.
func TestNewMayRunAtTheSameTime(t *testing.T) {
	_, _, all := door("door")
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			c, err := catalog.New(domain("house", all...)...)
			if err != nil || len(c.Entities["house.door"].Projections) != 1 {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

// A snapshot is taken on again only if nothing that it hangs on has changed.
func TestFingerprints(t *testing.T) {
	of := func(version int, events ...es.EventDef) string {
		e, _, _ := door("door", events...)
		p := es.NewProjection(e, "times", es.On(count)).Version(version)
		_, err := catalog.New(domain("house", e, p)...)
		require.NoError(t, err)
		return es.NewDomain("x", p).Catalog().Projections[0].Fingerprint
	}
	upcast := es.Upcast(func(data []byte) ([]byte, error) { return data, nil })
	first := of(1, es.EventOf[opened]())
	require.Equal(t, first, of(1, es.EventOf[opened]()))
	require.Equal(t, of(1, es.EventOf[opened](), es.EventOf[closed]()), of(1, es.EventOf[closed](), es.EventOf[opened]()), "the order does not matter")
	require.NotEqual(t, first, of(2, es.EventOf[opened]()), "the fold's version")
	require.NotEqual(t, first, of(1, es.EventOf[opened](upcast)), "the event's version")
	require.NotEqual(t, first, of(1, es.EventOf[opened](), es.EventOf[closed]()), "an event that the older release did not know")
}
