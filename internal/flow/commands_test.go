package flow_test

import (
	"context"
	"time"

	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/internal/catalog"
)

// The commands of the traces. The machine runs none of their decisions and
// effects: a script says what came of them.
type (
	shelf  string
	moved  struct{}
	answer struct {
		Yes bool `json:"yes"`
	}
	order struct {
		Size  int  `json:"size,omitempty"`
		Gift  bool `json:"gift,omitempty"`
		Panic bool `json:"panic,omitempty"`
	}
)

func (moved) EventName() string { return "moved" }

func (order) on() shelf { return "s1" }

var (
	shelves = es.NewEntity[shelf]("shelf", es.EventOf[moved]())
	count   = es.NewProjection(shelves, "count", es.On(func(n int, _ moved) int { return n + 1 }))
)

func decide(name string) *es.DecideStep[order, int] {
	return es.Decide(name, order.on, count, func(int, es.Call[order]) (es.Events, int, error) { return nil, 0, nil })
}

func undoable(name, undo string) *es.DecideStep[order, int] {
	return decide(name).Undo(undo, func(es.Call[order]) es.Events { return nil })
}

func act(name string) *es.ActStep[order, string] {
	return es.Act(name, func(context.Context, es.Call[order]) (string, error) { return "", nil })
}

func after(d time.Duration) func(es.Call[order]) time.Duration {
	return func(es.Call[order]) time.Duration { return d }
}

// sized picks a way by the order's size.
func sized(c es.Call[order]) string {
	switch {
	case c.In.Panic:
		panic("no size")
	case c.In.Size > 100:
		return "huge"
	case c.In.Size > 10:
		return "large"
	}
	return "small"
}

var count1 = es.NewCommand("count", decide("count"))

// domain has a command for every kind of step.
func domain() *catalog.Catalog {
	nothing := func(context.Context, es.Call[order]) error { return nil }
	unsure := es.Retry{Attempts: 3, First: time.Second, Factor: 3, Max: 2 * time.Second}
	approved := es.Wait[order, answer]("approve", "approved", after(24*time.Hour))
	c, err := catalog.New(es.NewDomain("shop", shelves, count, count1,
		es.NewCommand("sell", undoable("reserve", "release"), undoable("charge", "repay"), decide("ship")),
		es.NewCommand("order",
			act("book").Undo("unbook", nothing).Retry(unsure),
			decide("reserve").Retry(unsure).Undo("release", func(es.Call[order]) es.Events { return nil }),
			act("pay").Retry(unsure).Undo("repay", nothing),
			act("tell")),
		es.NewCommand("approve", undoable("reserve", "release"), approved,
			decide("ship").When(func(c es.Call[order]) bool { return approved.Of(c).Signal.Yes })),
		es.NewCommand("remind", es.Wait[order, es.None]("ask", "answered", after(time.Hour)).OrGoOn(),
			es.Delay("think", after(30*time.Minute)), es.Look("look", order.on, count)),
		es.NewCommand("pack",
			es.Choose("size", sized,
				es.Path[order]("small", act("envelope")),
				es.Path[order]("large", act("box"),
					es.Choose("kind", func(c es.Call[order]) string {
						if c.In.Gift {
							return "gift"
						}
						return "plain"
					}, es.Path[order]("gift", act("ribbon")), es.Path[order]("plain")))),
			act("label").When(func(c es.Call[order]) bool { return !c.In.Gift })),
		es.NewBatch("count-all", func(es.Call[es.None]) es.Group[shelf] { return shelves.All() },
			count1, func(es.Call[es.None], shelf) order { return order{} }),
	).Catalog())
	if err != nil {
		panic(err)
	}
	return c
}
