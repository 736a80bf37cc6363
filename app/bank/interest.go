package bank

import (
	"time"

	"github.com/longrun-dev/longrun/es"
)

// Accrual is what AccrueInterest asks for.
type Accrual struct {
	Account AccountID `json:"account" minLength:"1" maxLength:"512" doc:"the account" example:"576"`
	Day     Date      `json:"day" format:"date" doc:"the day whose interest is meant; not in the future (UTC)" example:"1993-01-01"`
}

func (a Accrual) on() AccountID { return a.Account }

// accruing is what decides on a day's interest.
type accruing struct {
	status  Status
	accrued Days
	due     Minor
	balance func(asOf time.Time) Minor
}

var accruals = es.Join2(
	es.Join3(StatusOf, AccruedDays, InterestDue,
		func(s Status, accrued Days, due Minor) accruing {
			return accruing{status: s, accrued: accrued, due: due}
		}),
	es.Past(Balance),
	func(a accruing, balance func(time.Time) Minor) accruing {
		a.balance = balance
		return a
	})

// AccrueInterest is the command "accrue-interest". Interest is reckoned on the
// balance as it was committed by 00:00 UTC of the day, which is 0 before the
// account was opened. Interest of zero is accrued as well, so that one can see
// that the day was done; a day that was done is left alone.
var AccrueInterest = es.NewCommand("accrue-interest",
	es.Decide("accrue", Accrual.on, accruals, func(a accruing, c es.Call[Accrual]) (es.Events, es.None, error) {
		midnight, err := c.In.Day.midnight()
		if err != nil {
			return nil, es.None{}, es.Invalid("day", "%v", err)
		}
		if midnight.After(c.At) {
			return nil, es.None{}, es.Invalid("day", "%s lies in the future", c.In.Day)
		}
		if err := a.status.mustBeOpen(); err != nil {
			return nil, es.None{}, err
		}
		if a.accrued.Has(c.In.Day) {
			return nil, es.None{}, nil
		}
		amount := interest(a.balance(midnight))
		if _, err := a.due.plus(amount); err != nil {
			return nil, es.None{}, err
		}
		return es.Events{InterestAccrued{c.In.Day, amount}}, es.None{}, nil
	})).
	Doc("Accrues one day's interest: 5/10,000 of a credit or 10/10,000 of a debit balance as of that day 00:00 UTC. Once a day.")
