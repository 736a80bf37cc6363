package es_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/es/estest"
)

// A counter is what the examples define.
type (
	CounterID string
	Counted   struct{ By int }
	countedV1 struct{ Times int }
	Reset     struct{ Why string }
	Add       struct {
		Counter CounterID `json:"counter" minLength:"1" doc:"which counter"`
		By      int       `json:"by" minimum:"1"`
	}
	Clear struct {
		Counter CounterID `json:"counter" minLength:"1" doc:"which counter"`
		Why     string    `json:"why,omitempty" maxLength:"100"`
	}
	Above struct {
		Threshold int `json:"threshold"`
	}
)

func (Counted) EventName() string { return "counted" }
func (Reset) EventName() string   { return "reset" }
func (a Add) on() CounterID       { return a.Counter }
func (c Clear) on() CounterID     { return c.Counter }

// t prints what a *testing.T would fail with.
var t = &printing{}

type printing struct{ testing.TB }

func (*printing) Helper()                     {}
func (*printing) Errorf(f string, a ...any)   { fmt.Printf(f+"\n", a...) }
func (p *printing) Fatalf(f string, a ...any) { p.Errorf(f, a...) }

// A domain is a value.
func ExampleNewDomain() {
	counter := es.NewEntity[CounterID]("counter", es.EventOf[Counted](), es.EventOf[Reset]())
	count := es.NewProjection(counter, "count",
		es.On(func(n int, e Counted) int { return n + e.By }),
		es.On(func(int, Reset) int { return 0 }))
	high := es.NewClassifier("above", count, func(p Above, n int) es.Verdict { return es.If(n > p.Threshold) })
	add := es.NewCommand("add", es.Decide("add", Add.on, count,
		func(n int, c es.Call[Add]) (es.Events, int, error) {
			if n+c.In.By > 100 {
				return nil, 0, es.Reject("too-high", "%d and %d are more than 100", n, c.In.By)
			}
			return es.Events{Counted{c.In.By}}, n + c.In.By, nil
		})).Doc("Adds to a counter, up to 100, and answers with what it then shows.")

	domain := es.NewDomain("example", counter, count, high, add)
	fmt.Println(domain.Validate())
	// Output: <nil>
}

// What is wrong with a domain is said all at once.
func ExampleDomain_Validate() {
	counter := es.NewEntity[CounterID]("counter", es.EventOf[Counted]())
	resets := es.NewProjection(counter, "Resets", es.On(func(n int, _ Reset) int { return n + 1 }))
	fmt.Println(es.NewDomain("my domain", counter, resets).Validate())
	// Output:
	// domain "my domain": a name is lower-case letters, digits and dashes
	// projection "Resets" handles es_test.Reset, which entity "counter" does not declare
	// projection "Resets" of "my domain.counter" handles no event
	// projection "Resets" of my domain.counter: defined twice, or not a name
}

// The first release stored {"Times":3}; folds never see that.
func ExampleWas() {
	counter := es.NewEntity[CounterID]("counter",
		es.EventOf[Counted](es.Was(func(old countedV1) Counted { return Counted{By: old.Times} })))
	count := es.NewProjection(counter, "count", es.On(func(n int, e Counted) int { return n + e.By }))

	c := estest.For(t, es.NewDomain("example", counter, count), counter, "c").
		GivenStored("counted", 1, `{"Times":3}`).
		GivenStored("counted", 2, `{"By":4}`)
	fmt.Println(estest.Projection(c, count).State())
	// Output: 7
}

// An upcaster works on JSON where Go types of the old shape are not worth it.
func ExampleUpcast() {
	inHundreds := es.Upcast(func(data []byte) ([]byte, error) {
		var e map[string]int
		if err := json.Unmarshal(data, &e); err != nil {
			return nil, err
		}
		e["By"] *= 100
		return json.Marshal(e)
	})
	counter := es.NewEntity[CounterID]("counter", es.EventOf[Counted](inHundreds))

	c := estest.For(t, es.NewDomain("example", counter), counter, "c").GivenStored("counted", 1, `{"By":3}`)
	fmt.Println(c.Events())
	// Output: [{300}]
}

// Streams still hold the event under its former name.
func ExampleFormerly() {
	counter := es.NewEntity[CounterID]("counter", es.EventOf[Counted](es.Formerly("incremented")))
	c := estest.For(t, es.NewDomain("example", counter), counter, "c").GivenStored("incremented", 1, `{"By":3}`)
	fmt.Println(c.Events())
	// Output: [{3}]
}

var (
	Counter = es.NewEntity[CounterID]("counter", es.EventOf[Counted](), es.EventOf[Reset]())

	Count = es.NewProjection(Counter, "count",
		es.On(func(n int, e Counted) int { return n + e.By }),
		es.On(func(int, Reset) int { return 0 }))

	Resets = es.NewProjection(Counter, "resets", es.On(func(n int, _ Reset) int { return n + 1 }))
)

// example is the domain of the definitions above and of those given.
func example(definitions ...es.Definition) es.Domain {
	return es.NewDomain("example", append([]es.Definition{Counter, Count, Resets}, definitions...)...)
}

func counterOf(d es.Domain, events ...es.Event) *estest.Stream {
	return estest.For(t, d, Counter, "c").Given(events...)
}

func ExampleOnMeta() {
	lastUsed := es.NewProjection(Counter, "last-used",
		es.OnMeta(func(_ time.Time, _ Counted, m es.Meta) time.Time { return m.At }))

	c := counterOf(example(lastUsed), Counted{1}, Reset{})
	fmt.Println(estest.Projection(c, lastUsed).State())
	// Output: 2026-01-01 12:00:00 +0000 UTC
}

func ExampleProjection_Version() {
	// It used to count resets as well: snapshots of then are not to be used.
	counts := es.NewProjection(Counter, "counts", es.On(func(n int, _ Counted) int { return n + 1 })).Version(2)

	fmt.Println(estest.Projection(counterOf(example(counts), Counted{5}, Reset{}), counts).State())
	// Output: 1
}

func ExampleNewClassifier() {
	above := es.NewClassifier("above", Count, func(p Above, n int) es.Verdict {
		if n == 0 {
			return es.Undecided
		}
		return es.If(n > p.Threshold)
	})

	d := example(above)
	estest.Classifier(counterOf(d, Counted{5}), above, Above{4}).Is(es.Included)
	estest.Classifier(counterOf(d, Counted{5}), above, Above{5}).Is(es.Excluded)
	estest.Classifier(counterOf(d, Counted{5}, Reset{}), above, Above{4}).Is(es.Undecided)
	// Output:
}

// A decision needs what it names and nothing else.
func ExampleDecide() {
	clr := es.NewCommand("clear", es.Decide("clear", Clear.on, Count,
		func(n int, c es.Call[Clear]) (es.Events, es.None, error) {
			if n == 0 {
				return nil, es.None{}, nil // a success too
			}
			return es.Events{Reset{c.In.Why}}, es.None{}, nil
		}))

	c := counterOf(example(clr), Counted{3})
	c.When(estest.Do(clr, Clear{Counter: "c", Why: "new year"})).Then(Reset{"new year"})
	c.When(estest.Do(clr, Clear{Counter: "c"})).Nothing()
	// Output:
}

func ExampleReject() {
	add := es.NewCommand("add", es.Decide("add", Add.on, Count,
		func(n int, c es.Call[Add]) (es.Events, es.None, error) {
			return nil, es.None{}, es.Reject("too-high", "%d and %d are more than 100", n, c.In.By)
		}))
	fmt.Println(counterOf(example(add), Counted{60}).When(estest.Do(add, Add{Counter: "c", By: 50})).Err())
	// Output: rejected (too-high): 60 and 50 are more than 100
}

func ExampleInvalid() {
	clr := es.NewCommand("clear", es.Decide("clear", Clear.on, Count,
		func(int, es.Call[Clear]) (es.Events, es.None, error) {
			return nil, es.None{}, es.Invalid("why", "must not be a %s", "joke")
		}))
	fmt.Println(counterOf(example(clr)).When(estest.Do(clr, Clear{Counter: "c", Why: "haha"})).Err())
	// Output: invalid: why must not be a joke
}

// Several projections of one entity, at one sequence.
func ExampleJoin2() {
	type shown struct{ Count, Resets int }
	both := es.Join2(Count, Resets, func(n, r int) shown { return shown{n, r} })
	look := es.NewCommand("look", es.Decide("look", Clear.on, both,
		func(s shown, _ es.Call[Clear]) (es.Events, shown, error) { return nil, s, nil }))

	counterOf(example(look), Counted{3}, Reset{}, Counted{4}).
		When(estest.Do(look, Clear{Counter: "c"})).Result(shown{Count: 4, Resets: 1})
	// Output:
}

func ExampleJoin3() {
	most := es.NewProjection(Counter, "most", es.On(func(most int, e Counted) int { return max(most, e.By) }))
	all := es.Join3(Count, Resets, most, func(n, r, m int) []int { return []int{n, r, m} })
	look := es.NewCommand("look", es.Decide("look", Clear.on, all,
		func(s []int, _ es.Call[Clear]) (es.Events, []int, error) { return nil, s, nil }))

	counterOf(example(most, look), Counted{9}, Reset{}, Counted{4}).
		When(estest.Do(look, Clear{Counter: "c"})).Result([]int{4, 1, 9})
	// Output:
}

// A decision on how it was a day ago.
func ExamplePast() {
	growth := es.Join2(Count, es.Past(Count), func(now int, past func(time.Time) int) func(time.Time) int {
		return func(since time.Time) int { return now - past(since) }
	})
	grown := es.NewCommand("grown", es.Decide("grown", Clear.on, growth,
		func(by func(time.Time) int, c es.Call[Clear]) (es.Events, int, error) {
			return nil, by(c.At.AddDate(0, 0, -1)), nil
		}))

	counterOf(example(grown), Counted{3}).
		At(estest.Start.AddDate(0, 0, 2)).Given(Counted{4}).
		When(estest.Do(grown, Clear{Counter: "c"})).Result(4)
	// Output:
}

func ExampleDecideStep_MustBeNew() {
	start := es.NewCommand("start", es.Decide("start", Add.on, Count,
		func(_ int, c es.Call[Add]) (es.Events, es.None, error) {
			return es.Events{Counted{c.In.By}}, es.None{}, nil
		}).MustBeNew())

	c := counterOf(example(start))
	c.When(estest.Do(start, Add{Counter: "c", By: 1})).Then(Counted{1})
	c.When(estest.Do(start, Add{Counter: "c", By: 1})).Conflict()
	// Output:
}

func ExampleDecideStep_MustExist() {
	clr := es.NewCommand("clear", es.Decide("clear", Clear.on, Count,
		func(int, es.Call[Clear]) (es.Events, es.None, error) {
			return es.Events{Reset{}}, es.None{}, nil
		}).MustExist())

	counterOf(example(clr)).When(estest.Do(clr, Clear{Counter: "c"})).Conflict()
	// Output:
}

// Counting happens often, and nobody looks a single count up.
func ExampleCommand_Unrecorded() {
	add := es.NewCommand("add", es.Decide("add", Add.on, Count,
		func(n int, c es.Call[Add]) (es.Events, int, error) {
			return es.Events{Counted{c.In.By}}, n + c.In.By, nil
		})).Unrecorded()

	fmt.Println(example(add).Catalog().Commands[0].Unrecorded)
	// Output: true
}

// Groups are put together of classifiers; who is in one is found when a batch or
// a query asks for it.
func ExampleGroup() {
	above := es.NewClassifier("above", Count, func(p Above, n int) es.Verdict { return es.If(n > p.Threshold) })
	_ = example(above).Validate() // an application does this at its start

	between := es.And(above.With(Above{10}), es.Not(above.With(Above{20})))
	form, _ := json.Marshal(between.Catalog())
	fmt.Println(string(form))
	// Output: {"and":[{"entity":"example.counter","classifier":"above","parameters":{"threshold":10}},{"not":{"entity":"example.counter","classifier":"above","parameters":{"threshold":20}}}]}
}

func ExampleEntity_All() {
	_ = example().Validate() // an application does this at its start
	form, _ := json.Marshal(Counter.All().Catalog())
	fmt.Println(string(form))
	// Output: {"all":"example.counter"}
}

func ExampleOr() {
	reset := es.NewClassifier("reset", Resets, func(_ es.None, n int) es.Verdict { return es.If(n > 0) })
	counted := es.NewClassifier("counted", Count, func(_ es.None, n int) es.Verdict { return es.If(n > 0) })
	_ = example(reset, counted).Validate() // an application does this at its start

	form, _ := json.Marshal(es.Or(reset.With(es.None{}), counted.With(es.None{})).Catalog())
	fmt.Println(string(form))
	// Output: {"or":[{"entity":"example.counter","classifier":"reset","parameters":{}},{"entity":"example.counter","classifier":"counted","parameters":{}}]}
}
