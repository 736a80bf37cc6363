package es_test

import (
	"context"
	"fmt"
	"time"

	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/es/estest"
)

// Move is what the commands of many steps below ask for.
type Move struct {
	From CounterID `json:"from" minLength:"1"`
	To   CounterID `json:"to" minLength:"1"`
	By   int       `json:"by" minimum:"1"`
}

func (m Move) from() CounterID { return m.From }
func (m Move) to() CounterID   { return m.To }

// take counts down; give counts up, to 100 at most.
func take() *es.DecideStep[Move, int] {
	return es.Decide("take", Move.from, Count, func(n int, c es.Call[Move]) (es.Events, int, error) {
		if n < c.In.By {
			return nil, 0, es.Reject("too-low", "%d are less than %d", n, c.In.By)
		}
		return es.Events{Counted{-c.In.By}}, n - c.In.By, nil
	})
}

func give() *es.DecideStep[Move, es.None] {
	return es.Decide("give", Move.to, Count, func(n int, c es.Call[Move]) (es.Events, es.None, error) {
		if n+c.In.By > 100 {
			return nil, es.None{}, es.Reject("too-high", "%d and %d are more than 100", n, c.In.By)
		}
		return es.Events{Counted{c.In.By}}, es.None{}, nil
	})
}

// world has counters a, which shows 50, and b, which shows 90.
func world(definitions ...es.Definition) (w *estest.World, a, b *estest.Stream) {
	w = estest.NewWorld(t, example(definitions...))
	return w, estest.Entity(w, Counter, "a").Given(Counted{50}), estest.Entity(w, Counter, "b").Given(Counted{90})
}

func moving(by int) Move { return Move{From: "a", To: "b", By: by} }

// Two entities: if the second says no, what was appended to the first is undone.
func ExampleDecideStep_Undo() {
	move := es.NewCommand("move",
		take().Undo("put-back", func(c es.Call[Move]) es.Events { return es.Events{Counted{c.In.By}} }),
		give())

	w, a, b := world(move)
	w.Run(estest.Do(move, moving(10))).Result(40).Appended(a, Counted{-10}).Appended(b, Counted{10})
	w.Run(estest.Do(move, moving(10))).
		Is("compensated").Because("too-high").
		Appended(a, Counted{-10}, Counted{10}).Appended(b)
	// Output:
}

// What is undone depends on what is there by then.
func ExampleUndoBy() {
	putBack := func(n int, c es.Call[Move]) (es.Events, error) {
		return es.Events{Counted{min(c.In.By, 100-n)}}, nil
	}
	move := es.NewCommand("move", es.UndoBy(take(), "put-back", Count, putBack), give())

	w, a, _ := world(move)
	w.Run(estest.Do(move, moving(40)), estest.Before("give", func(*estest.Run) { a.Given(Counted{80}) })).
		Is("compensated").
		Appended(a, Counted{-40}, Counted{10})
	// Output:
}

// A later step is told what an earlier one saw: that is an event of the command.
func ExampleLook() {
	seen := es.Look("look", Move.to, Count)
	move := es.NewCommand("move", seen,
		take().When(func(c es.Call[Move]) bool { return seen.Of(c) < 95 }))

	w, a, b := world(move)
	w.Run(estest.Do(move, moving(1))).Steps("look completed", "take completed").Appended(a, Counted{-1})
	b.Given(Counted{5})
	w.Run(estest.Do(move, moving(1))).Steps("look completed", "take skipped").Appended(a)
	// Output:
}

func ExampleJudge() {
	above := es.NewClassifier("above", Count, func(p Above, n int) es.Verdict { return es.If(n > p.Threshold) })
	high := es.Judge("judge", Move.to, above, func(c es.Call[Move]) Above { return Above{100 - c.In.By} })
	move := es.NewCommand("move", high,
		take().When(func(c es.Call[Move]) bool { return high.Of(c) != es.Included }),
		give().When(func(c es.Call[Move]) bool { return high.Of(c) != es.Included }))

	w, _, _ := world(above, move)
	w.Run(estest.Do(move, moving(10))).Steps("judge completed", "take completed", "give completed")
	w.Run(estest.Do(move, moving(10))).Steps("judge completed", "take skipped", "give skipped")
	// Output:
}

// courier is another system. It knows a delivery by its key, so that one that is
// asked for twice is made once.
type courier struct{ deliveries map[string]int }

func (k courier) deliver(_ context.Context, c es.Call[Move]) (string, error) {
	k.deliveries[c.Key] = c.In.By
	return "tomorrow", nil
}

func (k courier) cancel(_ context.Context, c es.Call[Move]) error {
	fmt.Println(c.Key, "after", len(k.deliveries), "delivery")
	return nil
}

// An effect outside of Longrun, and how it is undone.
func ExampleAct() {
	k := courier{map[string]int{}}
	send := es.NewCommand("send",
		es.Act("deliver", k.deliver).Undo("call-off", k.cancel).
			Retry(es.Retry{Attempts: 5, First: time.Second}).Timeout(10*time.Second),
		give())

	w, _, _ := world(send)
	w.Run(estest.Do(send, moving(11))).Is("compensated").Because("too-high").Steps("deliver compensated", "give rejected")
	// Output: run-1/call-off after 1 delivery
}

// Approval is the payload of a signal.
type Approval struct {
	By string `json:"by" minLength:"1"`
}

// A person says yes within a day, or nothing happens.
func ExampleWait() {
	approval := es.Wait[Move, Approval]("approval", "approved", func(es.Call[Move]) time.Duration { return 24 * time.Hour })
	move := es.NewCommand("move", take().Undo("put-back", func(c es.Call[Move]) es.Events { return es.Events{Counted{c.In.By}} }),
		approval,
		give())

	w, a, b := world(move)
	w.Run(estest.Do(move, moving(10))).Is("waiting").
		Signal("approved", Approval{By: "Jana"}).Is("completed").
		Appended(b, Counted{10})
	w.Run(estest.Do(move, moving(10))).
		After(24*time.Hour).Is("compensated").Because("timed-out").
		Appended(a, Counted{-10}, Counted{10})
	// Output:
}

func ExampleWaitStep_OrGoOn() {
	objection := es.Wait[Move, es.None]("objection", "objected", func(es.Call[Move]) time.Duration { return time.Hour }).OrGoOn()
	move := es.NewCommand("move", objection,
		take().When(func(c es.Call[Move]) bool { return objection.Of(c).TimedOut }))

	w, _, _ := world(move)
	w.Run(estest.Do(move, moving(10))).After(time.Hour).Steps("objection completed", "take completed")
	w.Run(estest.Do(move, moving(10))).Signal("objected", nil).Steps("objection completed", "take skipped")
	// Output:
}

func ExampleDelay() {
	move := es.NewCommand("move", take(),
		es.Delay("on-the-way", func(c es.Call[Move]) time.Duration { return time.Duration(c.In.By) * time.Hour }),
		give())

	w, _, b := world(move)
	w.Run(estest.Do(move, moving(10))).Is("waiting").Appended(b).
		After(10 * time.Hour).Is("completed")
	// Output:
}

// The steps of the ways that are not taken are skipped.
func ExampleChoose() {
	k := courier{map[string]int{}}
	send := es.NewCommand("send",
		es.Choose("how", func(c es.Call[Move]) string {
			if c.In.By > 5 {
				return "by-courier"
			}
			return "at-once"
		},
			es.Path[Move]("at-once", give()),
			es.Path[Move]("by-courier", es.Act("deliver", k.deliver))))

	w, _, _ := world(send)
	w.Run(estest.Do(send, moving(5))).Steps("how completed", "give completed", "deliver skipped")
	w.Run(estest.Do(send, moving(6))).Steps("how completed", "give skipped", "deliver completed").Result("tomorrow")
	// Output:
}

// A step may have been left out. Then its result is the zero value, and Ran tells
// that from a result that is zero.
func ExampleDecideStep_When() {
	taken := take().When(func(c es.Call[Move]) bool { return c.In.From != c.In.To })
	move := es.NewCommand("move", taken,
		give().When(func(c es.Call[Move]) bool { return taken.Ran(c) && taken.Of(c) == 0 }))

	w, _, _ := world(move)
	w.Run(estest.Do(move, Move{From: "a", To: "a", By: 5})).Steps("take skipped", "give skipped")
	w.Run(estest.Do(move, moving(45))).Steps("take completed", "give skipped")
	w.Run(estest.Do(move, moving(5))).Steps("take completed", "give completed")
	// Output:
}

// One command for each member of a group, every night.
func ExampleNewBatch() {
	clr := es.NewCommand("clear", es.Decide("clear", Clear.on, Count,
		func(int, es.Call[Clear]) (es.Events, es.None, error) { return es.Events{Reset{}}, es.None{}, nil }))
	above := es.NewClassifier("above", Count, func(p Above, n int) es.Verdict { return es.If(n > p.Threshold) })
	all := es.NewBatch("clear-high",
		func(c es.Call[Above]) es.Group[CounterID] { return above.With(c.In) },
		clr, func(_ es.Call[Above], counter CounterID) Clear { return Clear{Counter: counter} }).
		Cron("0 2 * * *", func(time.Time) Above { return Above{Threshold: 80} }).
		Doc("Clears the counters that show more than a threshold.")

	w, a, b := world(above, clr, all)
	w.Run(estest.DoAll(all, Above{Threshold: 80})).Is("completed").Items(1, 0).Appended(a).Appended(b, Reset{})
	// Output:
}

// What a schema cannot say is checked before anything is written.
func ExampleCommand_Valid() {
	move := es.NewCommand("move", take(), give()).Valid(func(m Move) error {
		if m.From == m.To {
			return es.Invalid("to", "must be another counter")
		}
		return nil
	})

	w, a, _ := world(move)
	w.Run(estest.Do(move, Move{From: "a", To: "a", By: 5})).Invalid("to").Appended(a)
	// Output:
}

// A month's end is reckoned by itself, with parameters made from the time.
func ExampleCommand_Cron() {
	monthly := es.NewCommand("close-month", es.Decide("close", Clear.on, Count,
		func(int, es.Call[Clear]) (es.Events, es.None, error) { return es.Events{Reset{}}, es.None{}, nil })).
		Cron("0 0 1 * *", func(at time.Time) Clear { return Clear{Counter: "c", Why: at.AddDate(0, -1, 0).Format("2006-01")} })

	fmt.Println(example(monthly).Validate())
	// Output: <nil>
}
