package bank

import (
	"time"

	"github.com/longrun-dev/longrun/es"
)

// Accruals is what AccrueInterestForAll asks for.
type Accruals struct {
	Day Date `json:"day" format:"date" doc:"the day whose interest is meant; not in the future (UTC)" example:"1993-01-01"`
}

// AccrueInterestForAll is the batch "accrue-interest-for-all". It runs every
// night for the day that has just begun: on what was there at midnight.
var AccrueInterestForAll = es.NewBatch("accrue-interest-for-all",
	func(es.Call[Accruals]) es.Group[AccountID] { return IsOpen.With(es.None{}) },
	AccrueInterest, func(c es.Call[Accruals], account AccountID) Accrual { return Accrual{account, c.In.Day} }).
	Valid(func(a Accruals) error { return a.Day.check("day") }).
	Cron("30 1 * * *", func(at time.Time) Accruals { return Accruals{dateOf(at)} }).
	Doc("Accrues one day's interest on every account that is open when the batch starts. Every night at 01:30 UTC it runs by itself.")

// PayInterestForAll is the batch "pay-interest-for-all".
var PayInterestForAll = es.NewBatch("pay-interest-for-all",
	func(es.Call[es.None]) es.Group[AccountID] { return HasInterestDue.With(es.None{}) },
	PayInterest, func(_ es.Call[es.None], account AccountID) Payment { return Payment{account} }).
	Doc("Pays or charges the interest that is due, on every open account that has any.")
