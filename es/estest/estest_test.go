package estest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/es/estest"
)

// A tank is filled and drained. Its first release stored buckets of ten litres.
type (
	TankID   string
	Filled   struct{ Litres int }
	filledV1 struct{ Buckets int }
	Drained  struct{ Litres int }
	Leaked   struct{ litres int } // nothing of it survives
	Pour     struct {
		Tank   TankID `json:"tank"`
		Litres int    `json:"litres"`
	}
	Over struct{ Litres int }
)

func (Filled) EventName() string  { return "filled" }
func (Drained) EventName() string { return "drained" }
func (Leaked) EventName() string  { return "leaked" }
func (p Pour) on() TankID         { return p.Tank }

var (
	Tank = es.NewEntity[TankID]("tank",
		es.EventOf[Filled](es.Was(func(old filledV1) Filled { return Filled{10 * old.Buckets} })),
		es.EventOf[Drained](),
		es.EventOf[Leaked]())

	Level = es.NewProjection(Tank, "level",
		es.On(func(n int, e Filled) int { return n + e.Litres }),
		es.On(func(n int, e Drained) int { return n - e.Litres }))

	FilledBy = es.NewProjection(Tank, "filled-by",
		es.OnMeta(func(_ string, _ Filled, m es.Meta) string { return m.Who }))

	// Hidden cannot go on from a snapshot: its state is not in its JSON.
	Hidden = es.NewProjection(Tank, "hidden",
		es.On(func(h hidden, e Filled) hidden { h.n += e.Litres; h.Seen = h.n; return h }))

	MoreThan = es.NewClassifier("more-than", Level, func(p Over, n int) es.Verdict { return es.If(n > p.Litres) })

	Fill = es.NewCommand("fill", es.Decide("fill", Pour.on, Level, func(n int, c es.Call[Pour]) (es.Events, int, error) {
		switch left := n + c.In.Litres; {
		case c.In.Litres == 0:
			return nil, n, nil
		case c.In.Litres < 0:
			return nil, 0, es.Invalid("litres", "must not be negative")
		case left > 100:
			return nil, 0, es.Reject("too-full", "%d litres do not fit", left)
		default:
			return es.Events{Filled{c.In.Litres}}, left, nil
		}
	}))

	Build = es.NewCommand("build", es.Decide("build", Pour.on, Level,
		func(int, es.Call[Pour]) (es.Events, es.None, error) { return es.Events{Filled{0}}, es.None{}, nil }).MustBeNew())

	Scrap = es.NewCommand("scrap", es.Decide("scrap", Pour.on, Level,
		func(n int, _ es.Call[Pour]) (es.Events, es.None, error) { return es.Events{Drained{n}}, es.None{}, nil }).MustExist())

	// Restore fills up to yesterday's level.
	Restore = es.NewCommand("restore", es.Decide("restore", Pour.on,
		es.Join2(Level, es.Past(Level), func(now int, past func(time.Time) int) func(time.Time) int {
			return func(at time.Time) int { return past(at) - now }
		}),
		func(missing func(time.Time) int, c es.Call[Pour]) (es.Events, es.None, error) {
			if n := missing(c.At.AddDate(0, 0, -1)); n > 0 {
				return es.Events{Filled{n}}, es.None{}, nil
			}
			return nil, es.None{}, nil
		}))

	// Guess is not pure.
	guesses int
	Guess   = es.NewCommand("guess", es.Decide("guess", Pour.on, Level,
		func(int, es.Call[Pour]) (es.Events, int, error) { guesses++; return nil, guesses, nil }))

	Leak = es.NewCommand("leak", es.Decide("leak", Pour.on, Level,
		func(_ int, c es.Call[Pour]) (es.Events, es.None, error) {
			return es.Events{Leaked{c.In.Litres}}, es.None{}, nil
		}))

	// Pump takes from one tank and fills another.
	drawn = es.Decide("draw", Pumping.from, Level, func(n int, c es.Call[Pumping]) (es.Events, int, error) {
		if n < c.In.Litres {
			return nil, 0, es.Reject("too-little", "%d litres are left", n)
		}
		return es.Events{Drained{c.In.Litres}}, n - c.In.Litres, nil
	}).Undo("put-back", func(c es.Call[Pumping]) es.Events { return es.Events{Filled{c.In.Litres}} })
	poured = es.Decide("pour", Pumping.to, Level, func(n int, c es.Call[Pumping]) (es.Events, es.None, error) {
		if n+c.In.Litres > 100 {
			return nil, es.None{}, es.Reject("too-full", "%d litres are there", n)
		}
		return es.Events{Filled{c.In.Litres}}, es.None{}, nil
	})
	Pump = es.NewCommand("pump", drawn, poured).Valid(func(p Pumping) error {
		if p.From == p.To {
			return es.Invalid("to", "must be another tank")
		}
		return nil
	})

	Clean = cleaning(&outside{})

	// Flip is not pure: it goes another way each time it is asked.
	flips int
	Flip  = es.NewCommand("flip", es.Choose("side", func(es.Call[Pour]) string { flips++; return []string{"heads", "tails"}[flips%2] },
		es.Path[Pour]("heads"), es.Path[Pour]("tails")))

	FillAll = es.NewBatch("fill-all", func(es.Call[Over]) es.Group[TankID] { return Tank.All() },
		Fill, func(c es.Call[Over], t TankID) Pour { return Pour{t, c.In.Litres} })

	CleanAll = es.NewBatch("clean-all", func(c es.Call[Over]) es.Group[TankID] { return MoreThan.With(c.In) },
		Clean, func(_ es.Call[Over], t TankID) Pour { return Pour{Tank: t} })

	Broken = es.NewCommand("broken", es.Decide("broken", Pour.on, Level,
		func(int, es.Call[Pour]) (es.Events, es.None, error) {
			return nil, es.None{}, json.Unmarshal([]byte("{"), new(int))
		}))
)

// Pumping is what Pump asks for.
type Pumping struct {
	From   TankID `json:"from"`
	To     TankID `json:"to"`
	Litres int    `json:"litres"`
}

func (p Pumping) from() TankID { return p.From }
func (p Pumping) to() TankID   { return p.To }

// Approval is the payload of a signal.
type Approval struct {
	Fill bool `json:"fill"`
}

// cleaning asks people, rests, and calls somebody outside.
func cleaning(o *outside) *es.Command[Pour] {
	approval := es.Wait[Pour, Approval]("approval", "approved", func(es.Call[Pour]) time.Duration { return 24 * time.Hour })
	return es.NewCommand("clean",
		es.Judge("judge", Pour.on, MoreThan, func(c es.Call[Pour]) Over { return Over{c.In.Litres} }),
		approval,
		es.Delay("rest", func(es.Call[Pour]) time.Duration { return time.Hour }),
		es.Act("call", o.call).Undo("call-off", o.callOff).Retry(es.Retry{Attempts: 2, First: time.Minute}),
		es.Decide("fill", Pour.on, Level, func(int, es.Call[Pour]) (es.Events, es.None, error) {
			return es.Events{Filled{1}}, es.None{}, nil
		}).When(func(c es.Call[Pour]) bool { return approval.Of(c).Signal.Fill }))
}

// outside is whom it calls; it fails as often as it is told.
type outside struct {
	fails int
	no    bool
	keys  []string
}

func (o *outside) call(_ context.Context, c es.Call[Pour]) (string, error) {
	o.keys = append(o.keys, c.Key)
	switch {
	case o.no:
		return "", es.Reject("closed", "nobody works today")
	case o.fails > 0:
		o.fails--
		return "", errors.New("no answer")
	}
	return "at nine", nil
}

func (o *outside) callOff(_ context.Context, c es.Call[Pour]) error {
	o.keys = append(o.keys, c.Key)
	return nil
}

type hidden struct {
	Seen int
	n    int
}

func domain() es.Domain {
	return es.NewDomain("water", Tank, Level, FilledBy, Hidden, MoreThan, Fill, Build, Scrap, Restore, Guess, Leak, Broken,
		Pump, Clean, Flip, FillAll, CleanAll)
}

func pour(c *es.Command[Pour], litres int) estest.Request {
	return estest.Do(c, Pour{Tank: "t1", Litres: litres})
}

// told is a testing.TB that writes down what it is told.
type told struct {
	testing.TB
	text strings.Builder
}

func (*told) Helper()                     {}
func (t *told) Errorf(f string, a ...any) { fmt.Fprintf(&t.text, f+"\n", a...) }
func (t *told) Fatalf(f string, a ...any) { t.Errorf(f, a...) }
func tank(t testing.TB) *estest.Stream    { return estest.For(t, domain(), Tank, "t1") }
func day(n int) time.Time                 { return estest.Start.AddDate(0, 0, n) }

// What is so passes without a word.
func TestWhatIsSoPasses(t *testing.T) {
	a := tank(t)
	a.When(pour(Scrap, 0)).Conflict()
	a.When(pour(Build, 0)).Then(Filled{0})
	a.When(pour(Build, 0)).Conflict()
	a.When(pour(Fill, 60)).Then(Filled{60}).Result(60).And().
		When(pour(Fill, 50)).Rejected("too-full").And().
		When(pour(Fill, -1)).Invalid("litres").And().
		When(pour(Fill, 0)).Nothing().Result(60)
	require.Equal(t, es.Events{Filled{0}, Filled{60}}, a.Events())
	require.NoError(t, a.When(pour(Scrap, 0)).Err())
	estest.Projection(a, Level).Is(0)
	require.Error(t, a.When(pour(Broken, 0)).Err())
}

func TestTime(t *testing.T) {
	a := tank(t).Given(Filled{50}).At(day(1)).Given(Drained{20}).At(day(2)).Given(Drained{20})
	estest.Projection(a, Level).Is(10)
	estest.Projection(a, Level).AsOf(day(1)).Is(30)
	estest.Projection(a, Level).AsOf(day(1).Add(-1)).Is(50)
	estest.Projection(a, Level).AsOf(day(-1)).Is(0)
	estest.Classifier(a, MoreThan, Over{20}).Is(es.Excluded)
	estest.Classifier(a, MoreThan, Over{20}).AsOf(day(1)).Is(es.Included)
	estest.Classifier(a, MoreThan, Over{-1}).AsOf(day(-1)).Is(es.Excluded) // was not there
	a.When(pour(Restore, 0)).Then(Filled{20})
	estest.Projection(a, Level).Is(30)
}

func TestEventsOfOlderReleases(t *testing.T) {
	a := tank(t).GivenStored("filled", 1, `{"Buckets":3}`).GivenStored("filled", 2, `{"Litres":4}`)
	require.Equal(t, es.Events{Filled{30}, Filled{4}}, a.Events())
	estest.Projection(a, Level).Is(34)
	require.Equal(t, 34, estest.Projection(a, Level).State())
}

func TestWho(t *testing.T) {
	a := tank(t).By("Jana")
	a.When(pour(Fill, 1)).Then(Filled{1})
	estest.Projection(a, FilledBy).Is("Jana")
}

// What is not so is said, in words that help.
func TestWhatIsNotSoIsSaid(t *testing.T) {
	for name, c := range map[string]struct {
		test func(t *told)
		says string
	}{
		"other events":         {func(t *told) { tank(t).When(pour(Fill, 1)).Then(Filled{2}) }, "appended:\n  filled {\"Litres\":1}\nexpected:\n  filled {\"Litres\":2}\n"},
		"fewer events":         {func(t *told) { tank(t).When(pour(Fill, 1)).Then(Filled{1}, Filled{1}) }, "appended:\n  filled {\"Litres\":1}\nexpected:\n  filled {\"Litres\":1}\n  filled {\"Litres\":1}\n"},
		"another type":         {func(t *told) { tank(t).When(pour(Fill, 1)).Then(Drained{1}) }, "expected:\n  drained"},
		"events, not nothing":  {func(t *told) { tank(t).When(pour(Fill, 1)).Nothing() }, "expected:\n  no events"},
		"a refusal":            {func(t *told) { tank(t).When(pour(Fill, 101)).Then(Filled{101}) }, "expected success, got: rejected (too-full): 101 litres do not fit"},
		"a refusal's result":   {func(t *told) { tank(t).When(pour(Fill, 101)).Result(101) }, "expected success"},
		"success":              {func(t *told) { tank(t).When(pour(Fill, 1)).Rejected("too-full") }, "expected rejected, but it succeeded and appended:\n  filled {\"Litres\":1}"},
		"another result":       {func(t *told) { tank(t).When(pour(Fill, 1)).Result(2) }, "result 1, expected 2"},
		"another reason":       {func(t *told) { tank(t).When(pour(Fill, 101)).Rejected("too-big") }, `rejected with "too-full" (101 litres do not fit), expected "too-big"`},
		"another field":        {func(t *told) { tank(t).When(pour(Fill, -1)).Invalid("tank") }, `expected that to be about "tank"`},
		"another kind of no":   {func(t *told) { tank(t).When(pour(Fill, -1)).Conflict() }, "expected conflict, got: invalid"},
		"a fault of the code":  {func(t *told) { tank(t).When(pour(Broken, 1)).Rejected("x") }, "expected rejected, got: unexpected end of JSON input"},
		"another state":        {func(t *told) { estest.Projection(tank(t).Given(Filled{1}), Level).Is(2) }, `projection "level" is 1, expected 2`},
		"another verdict":      {func(t *told) { estest.Classifier(tank(t).Given(Filled{1}), MoreThan, Over{0}).Is(es.Excluded) }, `classifier "more-than" says included, expected excluded`},
		"a decision of chance": {func(t *told) { tank(t).When(pour(Guess, 1)) }, `step "guess" is not a pure function`},
		"a given event lost":   {func(t *told) { tank(t).Given(Leaked{5}) }, `event "leaked" does not survive storage: {litres:5} comes back as {litres:0}`},
		"an appended one lost": {func(t *told) { tank(t).When(pour(Leak, 5)) }, `event "leaked" does not survive storage`},
		"a snapshot lost":      {func(t *told) { estest.Projection(tank(t).Given(Filled{1}, Filled{2}), Hidden).State() }, `projection "hidden" does not survive a snapshot: {"Seen":3}, but {"Seen":2} after one at sequence 1`},
		"a stranger event":     {func(t *told) { tank(t).Given(stranger{}) }, `does not declare event estest_test.stranger`},
		"an unknown name":      {func(t *told) { tank(t).GivenStored("evaporated", 1, "{}") }, `knows no event "evaporated"`},
		"an unknown version":   {func(t *told) { tank(t).GivenStored("filled", 3, "{}") }, `has version 3, this release knows 1 to 2`},
		"another entity":       {func(t *told) { tank(t).When(estest.Do(Fill, Pour{Tank: "t2"})) }, `water.fill is about "t2" of "water.tank", the test about "t1"`},
		"a stranger command": {func(t *told) {
			tank(t).When(estest.Do(es.NewCommand("x", es.Decide("x", Pour.on, Level, func(int, es.Call[Pour]) (es.Events, es.None, error) { return nil, es.None{}, nil })), Pour{}))
		}, `command "x" is not in the domain`},
		"time going back": {func(t *told) { tank(t).Given(Filled{1}).At(day(-1)) }, "time goes back"},
	} {
		t.Run(name, func(t *testing.T) {
			var heard told
			c.test(&heard)
			require.Contains(t, heard.text.String(), c.says)
		})
	}
}

type stranger struct{}

func (stranger) EventName() string { return "stranger" }

func TestADomainWithFaultsIsNotTested(t *testing.T) {
	for domain, says := range map[*es.Domain]string{
		ptr(es.NewDomain("Water", Tank)): "the domain has faults:\ndomain \"Water\"",
		ptr(es.NewDomain("air", Level)):  "the domain has faults",
	} {
		var heard told
		func() {
			defer func() { _ = recover() }() // a test would have ended where it was told
			estest.For(&heard, *domain, Tank, "t1")
		}()
		require.Contains(t, heard.text.String(), says)
	}
}

func ptr[T any](v T) *T { return &v }

func BenchmarkGivenWhenThen(b *testing.B) {
	for b.Loop() {
		tank(b).Given(Filled{10}, Drained{5}).When(pour(Fill, 6)).Then(Filled{6}).Result(11)
	}
}
