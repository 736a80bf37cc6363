package bank

import "github.com/longrun-dev/longrun/es"

// Payment is what PayInterest asks for.
type Payment struct {
	Account AccountID `json:"account" minLength:"1" maxLength:"512" doc:"the account" example:"576"`
}

func (p Payment) on() AccountID { return p.Account }

// Dues are the interest due, and what an account has to pay it with.
type Dues struct {
	Status       Status `json:"status"`
	Balance      Minor  `json:"balance"`
	Limit        Minor  `json:"limit"`
	Unauthorised bool   `json:"unauthorised,omitempty"` // the bank granted the limit to itself
	Due          Minor  `json:"due"`
}

var dues = es.Join3(funds, LimitUnauthorised, InterestDue,
	func(f Funds, unauthorised bool, due Minor) Dues {
		return Dues{f.Status, f.Balance, f.Limit, unauthorised, due}
	})

// enough is the limit that the account needs to pay what is due: the one it has,
// if that is enough. A new one leaves some room, so that the next day's interest
// does not need another.
func (d Dues) enough() (limit Minor, err error) {
	left, err := d.Balance.plus(d.Due)
	if err != nil || left >= -d.Limit {
		return d.Limit, err
	}
	lower := Minor(-1000)
	if left%100 != 0 {
		lower -= 100 // to a whole 100 below
	}
	lowest, err := (left - left%100).plus(lower)
	return -lowest, err // a multiple of 100: not the one that has no positive
}

// Extension is a limit that was raised from one to another; both are the same if
// it was high enough.
type Extension struct {
	From         Minor `json:"from"`
	To           Minor `json:"to"`
	Unauthorised bool  `json:"unauthorised,omitempty"` // From was
}

// back is the limit as it was before the extension, or as near as the balance
// allows; what somebody else set since stays.
func (e Extension) back(d Dues) es.Events {
	limit := max(e.From, -d.Balance)
	if d.Status != Open || d.Limit != e.To || limit >= e.To {
		return nil
	}
	return es.Events{OverdraftLimitSet{limit, e.Unauthorised || limit > e.From}}
}

// seen is what there was before anything was done: it is in the command's stream.
var seen = es.Look("look", Payment.on, dues)

var extended = es.Decide("extend", Payment.on, dues, func(d Dues, _ es.Call[Payment]) (es.Events, Extension, error) {
	if err := d.Status.mustBeOpen(); err != nil {
		return nil, Extension{}, err
	}
	limit, err := d.enough()
	if err != nil || limit == d.Limit {
		return nil, Extension{d.Limit, d.Limit, d.Unauthorised}, err
	}
	return es.Events{OverdraftLimitSet{limit, true}}, Extension{d.Limit, limit, d.Unauthorised}, nil
}).When(func(c es.Call[Payment]) bool {
	d := seen.Of(c)
	limit, err := d.enough()
	return err != nil || limit != d.Limit
})

// PayInterest is the command "pay-interest"; its result is what was paid. The
// account may move between the steps, so the last one looks again: interest is
// owed, so it is always paid, with the limit that it takes.
var PayInterest = es.NewCommand("pay-interest", seen,
	es.UndoBy(extended, "restore", dues, func(d Dues, c es.Call[Payment]) (es.Events, error) {
		return extended.Of(c).back(d), nil
	}),
	es.Decide("pay", Payment.on, dues, func(d Dues, _ es.Call[Payment]) (es.Events, Minor, error) {
		if err := d.Status.mustBeOpen(); err != nil {
			return nil, 0, err
		}
		if d.Due == 0 {
			return nil, 0, nil
		}
		limit, err := d.enough()
		if err != nil {
			return nil, 0, err
		}
		events := es.Events{InterestPaid{d.Due}}
		if limit != d.Limit {
			events = es.Events{OverdraftLimitSet{limit, true}, InterestPaid{d.Due}}
		}
		return events, d.Due, nil
	})).
	Doc("Pays or charges the interest that is due and answers with the amount. Where the overdraft limit is too low for that, the bank raises it.")
