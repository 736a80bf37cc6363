package bank

import (
	"fmt"
	"time"

	"github.com/longrun-dev/longrun/es"
)

// Date is a day as RFC 3339 writes it, e.g. "1993-01-01". Dates compare as
// strings do.
type Date string

// dateOf is the day that a moment falls on in UTC.
func dateOf(t time.Time) Date { return Date(t.UTC().Format(time.DateOnly)) }

// midnight is 00:00 UTC at which the day begins.
func (d Date) midnight() (time.Time, error) {
	t, err := time.Parse(time.DateOnly, string(d))
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is not a date such as 1993-01-01", string(d))
	}
	return t, nil
}

// next is the day after; the date is a valid one.
func (d Date) next() Date {
	t, err := d.midnight()
	if err != nil {
		return d
	}
	return dateOf(t.AddDate(0, 0, 1))
}

// check refuses, as a parameter of that name, what is not a date.
func (d Date) check(field string) error {
	if _, err := d.midnight(); err != nil {
		return es.Invalid(field, "%v", err)
	}
	return nil
}

// checkMoment refuses what is neither a date nor an RFC 3339 date-time.
func checkMoment(field, s string) error {
	if _, err := time.Parse(time.RFC3339, s); err == nil {
		return nil
	}
	if _, err := Date(s).midnight(); err == nil {
		return nil
	}
	return es.Invalid(field, "%q is neither a date such as 1993-01-01 nor a time such as 1993-01-01T12:00:00Z", s)
}
