package es_test

import (
	"fmt"
	"time"

	"github.com/longrun-dev/longrun/es"
)

type (
	CounterID string
	Counted   struct{ By int }
	Reset     struct{}
	Add       struct {
		Counter CounterID `json:"counter" minLength:"1" doc:"which counter"`
		By      int       `json:"by" minimum:"1"`
	}
	Above struct {
		Threshold int `json:"threshold"`
	}
)

func (Counted) EventName() string { return "counted" }
func (Reset) EventName() string   { return "reset" }
func (a Add) on() CounterID       { return a.Counter }

var (
	Counter = es.NewEntity[CounterID]("counter", es.EventOf[Counted](), es.EventOf[Reset]())

	Count = es.NewProjection(Counter, "count",
		es.On(func(n int, e Counted) int { return n + e.By }),
		es.On(func(int, Reset) int { return 0 }))

	LastUsed = es.NewProjection(Counter, "last-used",
		es.OnMeta(func(_ time.Time, _ Counted, m es.Meta) time.Time { return m.At }))

	High = es.NewClassifier("above", Count, func(p Above, n int) es.Verdict { return es.If(n > p.Threshold) })

	AddTo = es.NewCommand("add",
		es.Decide("add", Add.on, es.Join2(Count, es.Past(Count), func(n int, past func(time.Time) int) int { return n }),
			func(n int, c es.Call[Add]) (es.Events, int, error) {
				if n+c.In.By > 100 {
					return nil, 0, es.Reject("too-high", "%d and %d are more than 100", n, c.In.By)
				}
				return es.Events{Counted{c.In.By}}, n + c.In.By, nil
			}))
)

func ExampleNewDomain() {
	domain := es.NewDomain("example", Counter, Count, LastUsed, High, AddTo)
	fmt.Println(domain.Validate())
	// Output: <nil>
}
