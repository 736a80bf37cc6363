package bank_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/longrun-dev/longrun/app/bank"
	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/internal/catalog"
)

// folding is a stream of the kind that the import makes, and the four
// projections of the API over it.
type folding struct {
	entity      *catalog.Entity
	projections []*catalog.Projection
	kinds       []*catalog.Event
	data        [][]byte
	values      []any
	meta        []catalog.Meta
}

func newFolding(b *testing.B, n int) *folding {
	b.Helper()
	c, err := catalog.New(bank.Domain().Catalog())
	if err != nil {
		b.Fatal(err)
	}
	f := &folding{entity: c.Entities["bank.account"]}
	for _, name := range []string{"balance", "overdraft-limit", "interest-due", "statement"} {
		f.projections = append(f.projections, c.Projections["bank.account"][name])
	}
	for i := range n {
		d := bank.Details{Operation: "transfer-in", Purpose: "pension", Counterparty: fmt.Sprintf("YZ/%d", i), Occurred: "1993-01-05"}
		e := []es.Event{
			bank.MoneyDeposited{Amount: 340100, Details: d},
			bank.MoneyWithdrawn{Amount: 1460, Details: bank.Details{Operation: "cash-withdrawal", Occurred: "1993-01-06"}},
			bank.InterestAccrued{Day: "1993-01-07", Amount: 12},
			bank.MoneyWithdrawn{Amount: 100, Details: d},
		}[i%4]
		data, err := json.Marshal(e)
		if err != nil {
			b.Fatal(err)
		}
		kind := f.entity.EventOf(e)
		value, err := kind.Decode(1, data)
		if err != nil {
			b.Fatal(err)
		}
		f.kinds, f.data, f.values = append(f.kinds, kind), append(f.data, data), append(f.values, value)
		f.meta = append(f.meta, catalog.Meta{Type: "bank.account", Key: "576", Sequence: uint64(i + 1)})
	}
	return f
}

func (f *folding) start() []catalog.Fold {
	folds := make([]catalog.Fold, len(f.projections))
	for i, p := range f.projections {
		folds[i] = p.New()
	}
	return folds
}

// Events a second on one core: of streams of 10,000 events, from Go values and
// from stored JSON, through all four projections.
func BenchmarkFold(b *testing.B) {
	const n = 10_000
	f := newFolding(b, n)
	b.Run("decoded", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			folds := f.start()
			for i, kind := range f.kinds {
				for _, fold := range folds {
					fold.Apply(kind.Index, f.values[i], &f.meta[i])
				}
			}
		}
		b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "events/s")
	})
	b.Run("stored", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			folds := f.start()
			for i, kind := range f.kinds {
				value, err := kind.Decode(1, f.data[i])
				if err != nil {
					b.Fatal(err)
				}
				for _, fold := range folds {
					fold.Apply(kind.Index, value, &f.meta[i])
				}
			}
		}
		b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "events/s")
	})
}
