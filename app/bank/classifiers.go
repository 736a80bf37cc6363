package bank

import "github.com/longrun-dev/longrun/es"

// Below is what BalanceBelow asks for.
type Below struct {
	Threshold Minor `json:"threshold" doc:"in minor units; included is a balance below it" example:"100000"`
}

// On is what InterestAccruedOn asks for.
type On struct {
	Day Date `json:"day" format:"date" doc:"the day whose interest is meant" example:"1993-01-01"`
}

// IsOpen is the classifier "open".
var IsOpen = es.NewClassifier("open", StatusOf,
	func(_ es.None, s Status) es.Verdict { return es.If(s == Open) })

// BalanceBelow is the classifier "balance-below", of open and closed accounts.
var BalanceBelow = es.NewClassifier("balance-below", Balance,
	func(p Below, b Minor) es.Verdict { return es.If(b < p.Threshold) })

// InterestAccruedOn is the classifier "interest-accrued-on": included once the
// day's interest was accrued, if only as zero. What is not a date is undecided.
var InterestAccruedOn = es.NewClassifier("interest-accrued-on", AccruedDays,
	func(p On, days Days) es.Verdict {
		if p.Day.check("day") != nil {
			return es.Undecided
		}
		return es.If(days.Has(p.Day))
	})

// Overdrawn is the classifier "overdrawn": a balance below zero.
var Overdrawn = es.NewClassifier("overdrawn", Balance,
	func(_ es.None, b Minor) es.Verdict { return es.If(b < 0) })

// HasInterestDue is the classifier "has-interest-due": an open account with
// interest to pay or to charge.
var HasInterestDue = es.NewClassifier("has-interest-due", payable,
	func(_ es.None, due Minor) es.Verdict { return es.If(due != 0) })

// payable is the interest due while the account is open, else 0.
var payable = es.Join2(StatusOf, InterestDue, func(s Status, due Minor) Minor {
	if s != Open {
		return 0
	}
	return due
})
