package bank

import "github.com/longrun-dev/longrun/es"

// Details say about a movement of money what the bank does not reckon with.
type Details struct {
	Operation    string `json:"operation,omitempty" maxLength:"1000" doc:"how it was moved, free text" example:"cash-deposit"`
	Purpose      string `json:"purpose,omitempty" maxLength:"1000" doc:"what for, free text" example:"pension"`
	Counterparty string `json:"counterparty,omitempty" maxLength:"1000" doc:"from whom or to whom, free text" example:"YZ/62457513"`
	Occurred     string `json:"occurred,omitempty" maxLength:"64" doc:"when it happened outside, if that is not now: an RFC 3339 date, or date-time" example:"1993-01-05"`
}

// Movement is what DepositMoney and WithdrawMoney ask for.
type Movement struct {
	Account AccountID `json:"account" minLength:"1" maxLength:"512" doc:"the account" example:"576"`
	Amount  Minor     `json:"amount" minimum:"1" doc:"in minor units" example:"2540000"`
	Details
}

// Overdraft is what SetOverdraftLimit asks for.
type Overdraft struct {
	Account AccountID `json:"account" minLength:"1" maxLength:"512" doc:"the account" example:"576"`
	Limit   Minor     `json:"limit" minimum:"0" doc:"how far the balance may fall below zero, in minor units" example:"100000"`
}

func (m Movement) on() AccountID  { return m.Account }
func (o Overdraft) on() AccountID { return o.Account }

// Funds are what an account can pay with.
type Funds struct {
	Status         Status
	Balance, Limit Minor
}

var funds = es.Join3(StatusOf, Balance, OverdraftLimit,
	func(s Status, balance, limit Minor) Funds { return Funds{s, balance, limit} })

// deposit is the balance after a deposit, or why there can be none.
func (f Funds) deposit(amount Minor) (left Minor, err error) {
	if err := f.Status.mustBeOpen(); err != nil {
		return 0, err
	}
	return f.Balance.plus(amount)
}

// withdraw is the balance after a withdrawal, or why there can be none.
func (f Funds) withdraw(amount Minor) (left Minor, err error) {
	if err := f.Status.mustBeOpen(); err != nil {
		return 0, err
	}
	// What leaves 64 bits downwards is below every limit.
	if left, err = f.Balance.plus(-amount); err != nil || left < -f.Limit {
		return 0, es.Reject("insufficient-funds", "balance %d and overdraft limit %d are less than %d", f.Balance, f.Limit, amount)
	}
	return left, nil
}

// check refuses a movement at no time.
func (d Details) check() error {
	if d.Occurred == "" {
		return nil
	}
	return checkMoment("occurred", d.Occurred)
}

// DepositMoney is the command "deposit-money"; its result is the balance left.
var DepositMoney = es.NewCommand("deposit-money",
	es.Decide("deposit", Movement.on, funds, func(f Funds, c es.Call[Movement]) (es.Events, Minor, error) {
		if err := c.In.Details.check(); err != nil {
			return nil, 0, err
		}
		left, err := f.deposit(c.In.Amount)
		if err != nil {
			return nil, 0, err
		}
		return es.Events{MoneyDeposited{c.In.Amount, c.In.Details}}, left, nil
	})).
	Doc("Puts money on an account and answers with the balance left.")

// WithdrawMoney is the command "withdraw-money"; its result is the balance left.
var WithdrawMoney = es.NewCommand("withdraw-money",
	es.Decide("withdraw", Movement.on, funds, func(f Funds, c es.Call[Movement]) (es.Events, Minor, error) {
		if err := c.In.Details.check(); err != nil {
			return nil, 0, err
		}
		left, err := f.withdraw(c.In.Amount)
		if err != nil {
			return nil, 0, err
		}
		return es.Events{MoneyWithdrawn{c.In.Amount, c.In.Details}}, left, nil
	})).
	Doc("Takes money off an account, down to its overdraft limit, and answers with the balance left.")

// SetOverdraftLimit is the command "set-overdraft-limit".
var SetOverdraftLimit = es.NewCommand("set-overdraft-limit",
	es.Decide("set", Overdraft.on, funds, func(f Funds, c es.Call[Overdraft]) (es.Events, es.None, error) {
		if err := f.Status.mustBeOpen(); err != nil {
			return nil, es.None{}, err
		}
		if f.Balance < -c.In.Limit {
			return nil, es.None{}, es.Reject("balance-below-limit", "the balance is %d, below -%d", f.Balance, c.In.Limit)
		}
		return es.Events{OverdraftLimitSet{Limit: c.In.Limit}}, es.None{}, nil
	})).
	Doc("Sets how far the balance may fall below zero.")
