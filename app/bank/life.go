package bank

import "github.com/longrun-dev/longrun/es"

// Opening is what OpenAccount asks for.
type Opening struct {
	Account        AccountID `json:"account" minLength:"1" maxLength:"512" doc:"the new account" example:"576"`
	Owner          string    `json:"owner" minLength:"1" maxLength:"1000" doc:"whose account it is" example:"Jana Novotná"`
	Opened         Date      `json:"opened,omitempty" format:"date" doc:"the day it was opened; today (UTC) if left out" example:"1993-01-01"`
	OverdraftLimit *Minor    `json:"overdraftLimit,omitempty" minimum:"0" doc:"how far the balance may fall below zero, in minor units" example:"100000"`
}

// Inheritance is what SetBeneficiary asks for.
type Inheritance struct {
	Account     AccountID `json:"account" minLength:"1" maxLength:"512" doc:"the account" example:"576"`
	Beneficiary string    `json:"beneficiary" minLength:"1" maxLength:"1000" doc:"who inherits it" example:"Petr Novotný"`
}

// Closing is what CloseAccount asks for.
type Closing struct {
	Account AccountID `json:"account" minLength:"1" maxLength:"512" doc:"the account" example:"576"`
}

func (o Opening) on() AccountID     { return o.Account }
func (i Inheritance) on() AccountID { return i.Account }
func (c Closing) on() AccountID     { return c.Account }

// mustBeOpen is the bank's answer to whoever asks something of an account that
// is not open.
func (s Status) mustBeOpen() error {
	switch s {
	case Open:
		return nil
	case Closed:
		return es.Reject("account-not-open", "the account is closed")
	default:
		return es.Reject("account-not-open", "the account was never opened")
	}
}

// OpenAccount is the command "open-account".
var OpenAccount = es.NewCommand("open-account",
	es.Decide("open", Opening.on, StatusOf, func(_ Status, c es.Call[Opening]) (es.Events, es.None, error) {
		opened := c.In.Opened
		if opened == "" {
			opened = dateOf(c.At)
		}
		if err := opened.check("opened"); err != nil {
			return nil, es.None{}, err
		}
		events := es.Events{AccountOpened{c.In.Owner, opened}}
		if limit := c.In.OverdraftLimit; limit != nil {
			events = append(events, OverdraftLimitSet{Limit: *limit})
		}
		return events, es.None{}, nil
	}).MustBeNew()).
	Doc("Opens an account, with an overdraft limit if one is given.")

// SetBeneficiary is the command "set-beneficiary".
var SetBeneficiary = es.NewCommand("set-beneficiary",
	es.Decide("set", Inheritance.on, StatusOf, func(s Status, c es.Call[Inheritance]) (es.Events, es.None, error) {
		if err := s.mustBeOpen(); err != nil {
			return nil, es.None{}, err
		}
		return es.Events{BeneficiarySet{c.In.Beneficiary}}, es.None{}, nil
	})).
	Doc("Says who inherits the account.")

// CloseAccount is the command "close-account".
var CloseAccount = es.NewCommand("close-account",
	es.Decide("close", Closing.on, funds, func(f Funds, _ es.Call[Closing]) (es.Events, es.None, error) {
		if err := f.Status.mustBeOpen(); err != nil {
			return nil, es.None{}, err
		}
		if f.Balance != 0 {
			return nil, es.None{}, es.Reject("balance-not-zero", "the balance is %d", f.Balance)
		}
		return es.Events{AccountClosed{}}, es.None{}, nil
	})).
	Doc("Closes an account whose balance is zero, for good.")
