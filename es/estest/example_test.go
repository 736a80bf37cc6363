package estest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/es/estest"
)

// In a test this is the *testing.T. Here it is one that prints what it is told.
var t = &printing{}

type printing struct{ testing.TB }

func (*printing) Helper()                     {}
func (*printing) Errorf(f string, a ...any)   { fmt.Printf(f+"\n", a...) }
func (p *printing) Fatalf(f string, a ...any) { p.Errorf(f, a...) }

func Example() {
	estest.For(t, domain(), Tank, "t1").
		Given(Filled{Litres: 70}, Drained{Litres: 20}).
		When(estest.Do(Fill, Pour{Tank: "t1", Litres: 50})).
		Then(Filled{Litres: 50}).
		Result(100)

	estest.For(t, domain(), Tank, "t1").
		Given(Filled{Litres: 70}).
		When(estest.Do(Fill, Pour{Tank: "t1", Litres: 50})).
		Rejected("too-full")
	// Output:
}

// What a failing test says.
func ExampleOutcome_Then() {
	estest.For(t, domain(), Tank, "t1").
		When(estest.Do(Fill, Pour{Tank: "t1", Litres: 5})).
		Then(Filled{Litres: 6})
	// Output:
	// appended:
	//   filled {"Litres":5}
	// expected:
	//   filled {"Litres":6}
}

// Events have the time of the clock, so a decision can look at the past.
func ExampleStream_At() {
	monday := time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)
	estest.For(t, domain(), Tank, "t1").
		At(monday).Given(Filled{Litres: 50}).
		At(monday.AddDate(0, 0, 1)).Given(Drained{Litres: 20}).
		When(estest.Do(Restore, Pour{Tank: "t1"})).
		Then(Filled{Litres: 20})
	// Output:
}

// What older releases stored goes through the upcasters.
func ExampleStream_GivenStored() {
	tank := estest.For(t, domain(), Tank, "t1").GivenStored("filled", 1, `{"Buckets":3}`)
	estest.Projection(tank, Level).Is(30)
	// Output:
}

func ExampleOutcome_And() {
	estest.For(t, domain(), Tank, "t1").
		When(estest.Do(Fill, Pour{Tank: "t1", Litres: 60})).Result(60).And().
		When(estest.Do(Fill, Pour{Tank: "t1", Litres: 60})).Rejected("too-full")
	// Output:
}

func ExampleProjection() {
	tank := estest.For(t, domain(), Tank, "t1").Given(Filled{Litres: 7}, Drained{Litres: 3})
	estest.Projection(tank, Level).Is(4)
	fmt.Println(estest.Projection(tank, Level).State())
	// Output: 4
}

func ExampleClassifier() {
	tank := estest.For(t, domain(), Tank, "t1").Given(Filled{Litres: 7})
	estest.Classifier(tank, MoreThan, Over{Litres: 5}).Is(es.Included)
	estest.Classifier(tank, MoreThan, Over{Litres: 7}).Is(es.Excluded)
	// Output:
}

// Several entities, and a command that is about two of them.
func ExampleWorld_Run() {
	w := estest.NewWorld(t, domain())
	one := estest.Entity(w, Tank, "t1").Given(Filled{Litres: 50})
	two := estest.Entity(w, Tank, "t2").Given(Filled{Litres: 80})

	w.Run(estest.Do(Pump, Pumping{From: "t1", To: "t2", Litres: 20})).
		Result(30).
		Appended(one, Drained{Litres: 20}).
		Appended(two, Filled{Litres: 20})

	w.Run(estest.Do(Pump, Pumping{From: "t1", To: "t2", Litres: 10})).
		Is("compensated").Because("too-full").
		Steps("draw compensated", "pour rejected").
		Appended(one, Drained{Litres: 10}, Filled{Litres: 10}).
		Appended(two)
	// Output:
}

// Somebody else fills the second tank after the first step.
func ExampleBefore() {
	w := estest.NewWorld(t, domain())
	estest.Entity(w, Tank, "t1").Given(Filled{Litres: 50})
	two := estest.Entity(w, Tank, "t2")

	w.Run(estest.Do(Pump, Pumping{From: "t1", To: "t2", Litres: 20}),
		estest.Before("pour", func(*estest.Run) { two.Given(Filled{Litres: 90}) })).
		Is("compensated").Because("too-full")
	// Output:
}

// A command that waits goes on with a signal, or when time has passed.
func ExampleRun_Signal() {
	w := estest.NewWorld(t, domain())
	estest.Entity(w, Tank, "t1").Given(Filled{Litres: 50})

	w.Run(estest.Do(Clean, Pour{Tank: "t1"})).Is("waiting").
		Signal("approved", Approval{Fill: true}).Is("waiting").
		After(time.Hour).Is("completed")

	w.Run(estest.Do(Clean, Pour{Tank: "t1"})).
		After(24 * time.Hour).Is("failed").Because("timed-out")
	// Output:
}

// The members are found among the entities of the world.
func ExampleDoAll() {
	w := estest.NewWorld(t, domain())
	one := estest.Entity(w, Tank, "t1").Given(Filled{Litres: 50})
	two := estest.Entity(w, Tank, "t2").Given(Filled{Litres: 95})

	w.Run(estest.DoAll(FillAll, Over{Litres: 10})).
		Is("completed-with-failures").Items(1, 1).
		Appended(one, Filled{Litres: 10}).
		Appended(two)
	// Output:
}
