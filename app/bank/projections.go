package bank

import "github.com/longrun-dev/longrun/es"

// Status is where an account is in its life; empty before it is opened.
type Status string

// The statuses.
const (
	Open   Status = "open"
	Closed Status = "closed"
)

// StatusOf is the projection "status".
var StatusOf = es.NewProjection(Account, "status",
	es.On(func(Status, AccountOpened) Status { return Open }),
	es.On(func(Status, AccountClosed) Status { return Closed }))

// Balance is the projection "balance": what is on the account.
var Balance = es.NewProjection(Account, "balance",
	es.On(func(b Minor, e MoneyDeposited) Minor { return b + e.Amount }),
	es.On(func(b Minor, e MoneyWithdrawn) Minor { return b - e.Amount }),
	es.On(func(b Minor, e InterestPaid) Minor { return b + e.Amount }),
	es.On(func(b Minor, e Refunded) Minor { return b + e.Amount }))

// OverdraftLimit is the projection "overdraft-limit": the balance may fall to
// minus this, which is 0 until it is set.
var OverdraftLimit = es.NewProjection(Account, "overdraft-limit",
	es.On(func(_ Minor, e OverdraftLimitSet) Minor { return e.Limit }))

// LimitUnauthorised is the projection "limit-unauthorised": whether the bank
// granted the overdraft limit to itself.
var LimitUnauthorised = es.NewProjection(Account, "limit-unauthorised",
	es.On(func(_ bool, e OverdraftLimitSet) bool { return e.Unauthorised }))

// InterestDue is the projection "interest-due": accrued and not yet paid,
// negative if the customer owes it.
var InterestDue = es.NewProjection(Account, "interest-due",
	es.On(func(due Minor, e InterestAccrued) Minor { return due + e.Amount }),
	es.On(func(due Minor, e InterestPaid) Minor { return due - e.Amount }))

// AccruedDays is the projection "accrued-days": the days whose interest has been
// accrued, also those on which it came to zero.
var AccruedDays = es.NewProjection(Account, "accrued-days",
	es.On(func(days Days, e InterestAccrued) Days { return days.With(e.Day) }))
