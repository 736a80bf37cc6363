package bank

import "github.com/longrun-dev/longrun/es"

// AccountID is the number of an account, as customers know it.
type AccountID string

// Account is the entity type "bank.account".
var Account = es.NewEntity[AccountID]("account",
	es.EventOf[AccountOpened](),
	es.EventOf[BeneficiarySet](),
	es.EventOf[MoneyDeposited](),
	es.EventOf[MoneyWithdrawn](),
	es.EventOf[OverdraftLimitSet](),
	es.EventOf[InterestAccrued](),
	es.EventOf[InterestPaid](),
	es.EventOf[Refunded](),
	es.EventOf[AccountClosed]())

// AccountOpened is the first event of every account.
type AccountOpened struct {
	Owner  string `json:"owner"`
	Opened Date   `json:"opened"`
}

// BeneficiarySet names who inherits the account; the last one counts.
type BeneficiarySet struct {
	Beneficiary string `json:"beneficiary"`
}

// MoneyDeposited adds a positive amount to the balance.
type MoneyDeposited struct {
	Amount Minor `json:"amount"`
	Details
}

// MoneyWithdrawn takes a positive amount off the balance.
type MoneyWithdrawn struct {
	Amount Minor `json:"amount"`
	Details
}

// OverdraftLimitSet says how far the balance may fall below zero: to -Limit.
// Unauthorised limits are those that the bank had to grant to itself, so that
// interest can be charged.
type OverdraftLimitSet struct {
	Limit        Minor `json:"limit"`
	Unauthorised bool  `json:"unauthorised"`
}

// InterestAccrued is the interest of one day: positive in the customer's favour,
// negative in the bank's, zero where it rounds to nothing. It is owed, not paid.
type InterestAccrued struct {
	Day    Date  `json:"day"`
	Amount Minor `json:"amount"`
}

// InterestPaid moves accrued interest, of either sign, to the balance.
type InterestPaid struct {
	Amount Minor `json:"amount"`
}

// Refunded gives a withdrawn amount back: a transfer that could not arrive.
type Refunded struct {
	Amount Minor `json:"amount"`
}

// AccountClosed is the last event of an account, but for a refund that comes
// late.
type AccountClosed struct{}

func (AccountOpened) EventName() string     { return "account-opened" }
func (BeneficiarySet) EventName() string    { return "beneficiary-set" }
func (MoneyDeposited) EventName() string    { return "money-deposited" }
func (MoneyWithdrawn) EventName() string    { return "money-withdrawn" }
func (OverdraftLimitSet) EventName() string { return "overdraft-limit-set" }
func (InterestAccrued) EventName() string   { return "interest-accrued" }
func (InterestPaid) EventName() string      { return "interest-paid" }
func (Refunded) EventName() string          { return "refunded" }
func (AccountClosed) EventName() string     { return "account-closed" }
