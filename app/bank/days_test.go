package bank_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/longrun-dev/longrun/app/bank"
)

func day(n int) bank.Date {
	return bank.Date(time.Date(2024, 2, 20, 0, 0, 0, 0, time.UTC).AddDate(0, 0, n).Format(time.DateOnly))
}

func TestDaysMergeIntoSpans(t *testing.T) {
	for _, c := range []struct {
		name string
		add  []bank.Date
		want bank.Days
	}{
		{"apart", []bank.Date{"2024-02-20", "2024-02-10"}, bank.Days{{"2024-02-10", "2024-02-10"}, {"2024-02-20", "2024-02-20"}}},
		{"forward over a leap day", []bank.Date{"2024-02-28", "2024-02-29", "2024-03-01"}, bank.Days{{"2024-02-28", "2024-03-01"}}},
		{"no leap day", []bank.Date{"2023-02-28", "2023-03-01"}, bank.Days{{"2023-02-28", "2023-03-01"}}},
		{"a leap day missing", []bank.Date{"2024-02-28", "2024-03-01"}, bank.Days{{"2024-02-28", "2024-02-28"}, {"2024-03-01", "2024-03-01"}}},
		{"backward over a year", []bank.Date{"2024-01-01", "2023-12-31"}, bank.Days{{"2023-12-31", "2024-01-01"}}},
		{"the gap between two", []bank.Date{"2024-01-01", "2024-01-03", "2024-01-02"}, bank.Days{{"2024-01-01", "2024-01-03"}}},
		{"twice", []bank.Date{"2024-01-01", "2024-01-01"}, bank.Days{{"2024-01-01", "2024-01-01"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var d bank.Days
			for _, day := range c.add {
				d = d.With(day)
			}
			if !reflect.DeepEqual(d, c.want) {
				t.Errorf("%v, expected %v", d, c.want)
			}
		})
	}
}

func TestYearsOfDaysAreOneSpan(t *testing.T) {
	var d bank.Days
	for n := range 10 * 365 {
		d = d.With(day(n))
	}
	if len(d) != 1 {
		t.Errorf("ten years are %d spans", len(d))
	}
}

// Days is a set, in the order of its spans, which neither overlap nor touch; and
// adding to it leaves it alone.
func TestDaysAreASet(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		var d bank.Days
		in := map[int]bool{}
		for _, n := range rapid.SliceOf(rapid.IntRange(0, 40)).Draw(r, "days") {
			before := slices.Clone(d)
			with := d.With(day(n))
			if !slices.Equal(d, before) {
				r.Fatalf("adding day %d changed %v to %v", n, before, d)
			}
			d, in[n] = with, true
		}
		for n := range 41 {
			if d.Has(day(n)) != in[n] {
				r.Fatalf("%v: day %s", d, day(n))
			}
		}
		spans := 0
		for n := range 41 {
			if in[n] && !in[n-1] {
				spans++
			}
		}
		if len(d) != spans {
			r.Fatalf("%v has %d spans, %d are enough", d, len(d), spans)
		}
	})
}
