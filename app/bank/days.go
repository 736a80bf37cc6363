package bank

import (
	"cmp"
	"slices"
)

// Days is a set of dates as sorted spans that neither overlap nor touch, so that
// years without a gap are one span.
type Days []Span

// Span is the dates from From to To, both included.
type Span struct {
	From Date `json:"from"`
	To   Date `json:"to"`
}

// Has says whether a date is in the set.
func (d Days) Has(day Date) bool {
	_, found := d.find(day)
	return found
}

// With is the set and one date more; the set itself stays as it is.
func (d Days) With(day Date) Days {
	i, found := d.find(day)
	if found {
		return d
	}
	span, to := Span{day, day}, i
	if i > 0 && d[i-1].To.next() == day {
		i--
		span.From = d[i].From
	}
	if to < len(d) && day.next() == d[to].From {
		span.To = d[to].To
		to++
	}
	return slices.Concat(d[:i], Days{span}, d[to:])
}

// find is the index of the span that holds the date, or of the first one after it.
func (d Days) find(day Date) (int, bool) {
	return slices.BinarySearchFunc(d, day, func(s Span, day Date) int {
		if s.From <= day && day <= s.To {
			return 0
		}
		return cmp.Compare(s.From, day)
	})
}
