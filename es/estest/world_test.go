package estest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/es/estest"
)

// tanks are two with so much in them.
func tanks(t testing.TB, one, two int) (w *estest.World, a, b *estest.Stream) {
	w = estest.NewWorld(t, domain())
	return w, estest.Entity(w, Tank, "t1").Given(Filled{one}), estest.Entity(w, Tank, "t2").Given(Filled{two})
}

func pump(litres int) estest.Request {
	return estest.Do(Pump, Pumping{From: "t1", To: "t2", Litres: litres})
}

func clean() estest.Request { return estest.Do(Clean, Pour{Tank: "t1"}) }

func TestACommandOfManySteps(t *testing.T) {
	w, a, b := tanks(t, 50, 60)
	w.By("Jana").Run(pump(30)).
		Is("completed").Result(20).Steps("draw completed", "pour completed").
		Appended(a, Drained{30}).Appended(b, Filled{30})
	estest.Projection(a, Level).Is(20)
	estest.Projection(b, Level).Is(90)
	estest.Projection(b, FilledBy).Is("Jana")

	w.Run(pump(20)).Is("compensated").Because("too-full").Steps("draw compensated", "pour rejected").
		Appended(a, Drained{20}, Filled{20}).Appended(b)
	w.Run(pump(21)).Is("failed").Because("too-little").Appended(a).Appended(b)
	w.Run(estest.Do(Pump, Pumping{From: "t1", To: "t1"})).Invalid("to").Appended(a)
	w.Run(estest.Do(Fill, Pour{Tank: "t1", Litres: 1})).Result(21).Appended(a, Filled{1}) // a direct one can run as well
	a.When(pour(Fill, 1)).Result(22)
}

func TestBetweenTwoSteps(t *testing.T) {
	w, a, b := tanks(t, 50, 0)
	w.Run(pump(30), estest.Before("pour", func(*estest.Run) { b.Given(Filled{90}) }), estest.Before("put-back", func(*estest.Run) { a.Given(Drained{20}) })).
		Is("compensated").Because("too-full").
		Appended(a, Drained{30}, Filled{30}).Appended(b)
	estest.Projection(a, Level).Is(30)
	w.Run(pump(1), estest.Before("draw", func(r *estest.Run) { r.Cancel() })).Is("cancelled").Appended(a, Drained{1}, Filled{1})
}

func TestSignalsAndTime(t *testing.T) {
	w, a, _ := tanks(t, 50, 0)
	w.Run(clean()).
		Is("waiting").Steps("judge completed", "approval waiting", "rest pending", "call pending", "fill pending").
		Signal("approved", Approval{Fill: true}).Is("waiting").
		After(59*time.Minute).Is("waiting").
		After(time.Minute).Is("completed").Appended(a, Filled{1})
	w.Run(clean()).After(24 * time.Hour).Is("failed").Because("timed-out").Appended(a)
	w.Run(clean()).Signal("approved", Approval{}).After(time.Hour).Is("completed").
		Steps("judge completed", "approval completed", "rest completed", "call completed", "fill skipped")
	w.Run(clean()).Cancel().Is("cancelled")
}

func TestAnEffectOutside(t *testing.T) {
	for name, c := range map[string]struct {
		outside outside
		expect  func(*estest.Run)
		keys    []string
	}{
		"is tried again under its key": {outside{fails: 1}, func(r *estest.Run) { r.Is("completed") }, []string{"run-1/call", "run-1/call"}},
		"is undone if nobody knows": {outside{fails: 2}, func(r *estest.Run) {
			r.Is("compensated").Steps("judge completed", "approval completed", "rest completed", "call compensated", "fill pending")
		}, []string{"run-1/call", "run-1/call", "run-1/call-off"}},
		"says no": {outside{no: true}, func(r *estest.Run) { r.Is("failed").Because("closed") }, []string{"run-1/call"}},
	} {
		t.Run(name, func(t *testing.T) {
			command := cleaning(&c.outside)
			w := estest.NewWorld(t, es.NewDomain("water", Tank, Level, MoreThan, command))
			estest.Entity(w, Tank, "t1").Given(Filled{50})
			c.expect(w.Run(estest.Do(command, Pour{Tank: "t1"})).Signal("approved", Approval{}).After(time.Hour))
			require.Equal(t, c.keys, c.outside.keys)
		})
	}
}

func TestABatch(t *testing.T) {
	w, a, b := tanks(t, 50, 95)
	estest.Entity(w, Tank, "t3") // without events it is in no group
	w.Run(estest.DoAll(FillAll, Over{10})).
		Is("completed-with-failures").Items(1, 1).
		Appended(a, Filled{10}).Appended(b)
	w.Run(estest.DoAll(FillAll, Over{0})).Items(2, 0)
	w.Run(estest.DoAll(CleanAll, Over{1000})).Is("completed").Items(0, 0)
}

func TestWhatIsNotSoOfAWorldIsSaid(t *testing.T) {
	for name, c := range map[string]struct {
		test func(w *estest.World, a *estest.Stream)
		says string
	}{
		"another status":     {func(w *estest.World, _ *estest.Stream) { w.Run(pump(51)).Is("completed") }, "water.pump is failed, expected completed\n  rejected (too-little): 50 litres are left"},
		"another reason":     {func(w *estest.World, _ *estest.Stream) { w.Run(pump(51)).Because("x") }, `water.pump is failed, expected that for "x"`},
		"no reason":          {func(w *estest.World, _ *estest.Stream) { w.Run(pump(1)).Because("x") }, `water.pump is completed, expected that for "x"`},
		"another result":     {func(w *estest.World, _ *estest.Stream) { w.Run(pump(1)).Result(48) }, "water.pump has result 49, expected 48"},
		"other steps":        {func(w *estest.World, _ *estest.Stream) { w.Run(pump(51)).Steps("draw completed") }, "took steps:\n  draw rejected\n  pour pending\nexpected:\n  draw completed"},
		"other events":       {func(w *estest.World, a *estest.Stream) { w.Run(pump(1)).Appended(a) }, "water.pump appended to t1:\n  drained {\"Litres\":1}\nexpected:\n  no events"},
		"not invalid":        {func(w *estest.World, _ *estest.Stream) { w.Run(pump(1)).Invalid("to") }, `water.pump is completed, expected parameter "to" to be invalid`},
		"other items":        {func(w *estest.World, _ *estest.Stream) { w.Run(estest.DoAll(FillAll, Over{1})).Items(1, 1) }, "expected 1 to succeed and 1 to fail"},
		"no batch":           {func(w *estest.World, _ *estest.Stream) { w.Run(pump(1)).Items(1, 1) }, "has items <nil>"},
		"an unknown signal":  {func(w *estest.World, _ *estest.Stream) { w.Run(clean()).Signal("x", nil) }, `declares no signal "x"`},
		"another payload":    {func(w *estest.World, _ *estest.Stream) { w.Run(clean()).Signal("approved", 7) }, `the payload of signal "approved"`},
		"a cancel too late":  {func(w *estest.World, _ *estest.Stream) { w.Run(pump(1)).Cancel() }, "the command has ended"},
		"nothing to retry":   {func(w *estest.World, _ *estest.Stream) { w.Run(clean()).RetryCompensation() }, "no compensation of the command has failed"},
		"an unknown step":    {func(w *estest.World, _ *estest.Stream) { w.Run(pump(1), estest.Before("x", nil)) }, `water.pump has no step "x"`},
		"a choice of chance": {func(w *estest.World, _ *estest.Stream) { w.Run(estest.Do(Flip, Pour{})) }, "water.flip is not made of pure functions"},
		"a decision of chance": {func(w *estest.World, _ *estest.Stream) { w.Run(estest.Do(Guess, Pour{Tank: "t1"})) },
			`step "guess" is not a pure function`},
		"one that runs on": {func(_ *estest.World, a *estest.Stream) { a.When(pump(1)) }, `command "water.pump" does not end in one turn: use World.Run`},
		"time going back":  {func(w *estest.World, _ *estest.Stream) { w.At(day(-1)) }, "time goes back"},
		"an item that waits": {func(w *estest.World, _ *estest.Stream) { w.Run(estest.DoAll(CleanAll, Over{10})) },
			`the item of "t1" is waiting`},
		"a stranger entity": {func(w *estest.World, _ *estest.Stream) { estest.Entity(w, es.NewEntity[TankID]("x"), "x") }, `entity "x" is not in the domain`},
		"a stranger command": {func(w *estest.World, _ *estest.Stream) { w.Run(estest.Do(es.NewCommand[Pour]("x"), Pour{})) },
			`command "x" is not in the domain`},
	} {
		t.Run(name, func(t *testing.T) {
			var heard told
			w, a, _ := tanks(&heard, 50, 0)
			c.test(w, a)
			require.Contains(t, heard.text.String(), c.says)
		})
	}
}
