package bank_test

import (
	"math"
	"testing"
	"time"

	"github.com/longrun-dev/longrun/app/bank"
	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/es/estest"
)

const id bank.AccountID = "576"

var opened = bank.AccountOpened{Owner: "Jana", Opened: "2026-01-01"}

// account is one to which this happened.
func account(t testing.TB, events ...es.Event) *estest.Stream {
	t.Helper()
	return estest.For(t, bank.Domain(), bank.Account, id).Given(events...)
}

func deposited(amount bank.Minor) bank.MoneyDeposited { return bank.MoneyDeposited{Amount: amount} }
func withdrawn(amount bank.Minor) bank.MoneyWithdrawn { return bank.MoneyWithdrawn{Amount: amount} }
func limited(limit bank.Minor) bank.OverdraftLimitSet { return bank.OverdraftLimitSet{Limit: limit} }

func deposit(amount bank.Minor) estest.Request {
	return estest.Do(bank.DepositMoney, bank.Movement{Account: id, Amount: amount})
}

func withdraw(amount bank.Minor) estest.Request {
	return estest.Do(bank.WithdrawMoney, bank.Movement{Account: id, Amount: amount})
}

func setLimit(limit bank.Minor) estest.Request {
	return estest.Do(bank.SetOverdraftLimit, bank.Overdraft{Account: id, Limit: limit})
}

func closing() estest.Request { return estest.Do(bank.CloseAccount, bank.Closing{Account: id}) }

func accrue(day bank.Date) estest.Request {
	return estest.Do(bank.AccrueInterest, bank.Accrual{Account: id, Day: day})
}

func inherit(beneficiary string) estest.Request {
	return estest.Do(bank.SetBeneficiary, bank.Inheritance{Account: id, Beneficiary: beneficiary})
}

func TestTheDomainHasNoFaults(t *testing.T) {
	if err := bank.Domain().Validate(); err != nil {
		t.Fatal(err)
	}
}

// Everything asked of an account that was never opened, or is closed, has one answer.
func TestNothingButOpeningIsPossibleUnlessOpen(t *testing.T) {
	requests := map[string]estest.Request{
		"deposit": deposit(1), "withdraw": withdraw(1), "limit": setLimit(1), "close": closing(),
		"accrue": accrue("2026-01-01"), "beneficiary": inherit("Petr"),
	}
	for name, request := range requests {
		t.Run("never opened/"+name, func(t *testing.T) {
			account(t).When(request).Rejected("account-not-open")
		})
		t.Run("closed/"+name, func(t *testing.T) {
			account(t, opened, bank.AccountClosed{}).When(request).Rejected("account-not-open")
		})
	}
}

func TestDeposit(t *testing.T) {
	t.Run("adds to the balance", func(t *testing.T) {
		account(t, opened, deposited(100)).When(deposit(25)).Then(deposited(25)).Result(bank.Minor(125))
	})
	t.Run("keeps the details", func(t *testing.T) {
		d := bank.Details{Operation: "cash-deposit", Purpose: "pension", Counterparty: "YZ/1", Occurred: "1993-01-05"}
		account(t, opened).
			When(estest.Do(bank.DepositMoney, bank.Movement{Account: id, Amount: 5, Details: d})).
			Then(bank.MoneyDeposited{Amount: 5, Details: d})
	})
	t.Run("brings an overdrawn account back", func(t *testing.T) {
		account(t, opened, limited(100), withdrawn(100)).When(deposit(100)).Result(bank.Minor(0))
	})
	t.Run("fills 64 bits, and not more", func(t *testing.T) {
		account(t, opened, deposited(math.MaxInt64-1)).
			When(deposit(1)).Result(bank.Minor(math.MaxInt64)).And().
			When(deposit(1)).Rejected("out-of-range").And().
			When(deposit(math.MaxInt64)).Rejected("out-of-range")
	})
}

func TestOccurredIsADateOrADateTime(t *testing.T) {
	at := func(occurred string) estest.Request {
		return estest.Do(bank.DepositMoney, bank.Movement{Account: id, Amount: 1, Details: bank.Details{Occurred: occurred}})
	}
	for _, good := range []string{"", "1993-01-05", "2024-02-29", "1993-01-05T10:00:00Z", "1993-01-05T10:00:00.5+01:00"} {
		account(t, opened).When(at(good)).Result(bank.Minor(1))
	}
	for _, bad := range []string{"yesterday", "1993-1-5", "2023-02-29", "1993-01-05 10:00:00", "1993-01-05T10:00:00", "19930105"} {
		account(t, opened).When(at(bad)).Invalid("occurred")
	}
}

func TestWithdraw(t *testing.T) {
	for _, c := range []struct {
		name                   string
		balance, limit, amount bank.Minor
		ok                     bool
	}{
		{"part of the balance", 100, 0, 40, true},
		{"all of it", 100, 0, 100, true},
		{"one too many", 100, 0, 101, false},
		{"to the limit exactly", 100, 50, 150, true},
		{"one below the limit", 100, 50, 151, false},
		{"from nothing", 0, 0, 1, false},
		{"everything 64 bits hold", math.MaxInt64, 0, math.MaxInt64, true},
		{"more than 64 bits hold", -math.MaxInt64, math.MaxInt64, math.MaxInt64, false},
		{"the lowest limit exactly", 0, math.MaxInt64, math.MaxInt64, true},
		{"below the lowest limit", -1, math.MaxInt64, math.MaxInt64, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := account(t, opened, limited(c.limit))
			switch {
			case c.balance > 0:
				a.Given(deposited(c.balance))
			case c.balance < 0:
				a.Given(withdrawn(-c.balance))
			}
			if c.ok {
				a.When(withdraw(c.amount)).Then(withdrawn(c.amount)).Result(c.balance - c.amount)
				estest.Projection(a, bank.Balance).Is(c.balance - c.amount)
			} else {
				a.When(withdraw(c.amount)).Rejected("insufficient-funds")
				estest.Projection(a, bank.Balance).Is(c.balance)
			}
		})
	}
}

func TestOpenAccount(t *testing.T) {
	open := func(o bank.Opening) estest.Request {
		o.Account = id
		return estest.Do(bank.OpenAccount, o)
	}
	zero, limit := bank.Minor(0), bank.Minor(500)

	t.Run("on a day", func(t *testing.T) {
		account(t).When(open(bank.Opening{Owner: "Jana", Opened: "1992-02-29"})).
			Then(bank.AccountOpened{Owner: "Jana", Opened: "1992-02-29"})
	})
	t.Run("today if no day is given", func(t *testing.T) {
		account(t).At(time.Date(2026, 3, 1, 0, 30, 0, 0, time.FixedZone("CET", 3600))).
			When(open(bank.Opening{Owner: "Jana"})).
			Then(bank.AccountOpened{Owner: "Jana", Opened: "2026-02-28"})
	})
	t.Run("with a limit", func(t *testing.T) {
		a := account(t)
		a.When(open(bank.Opening{Owner: "Jana", Opened: "2026-01-01", OverdraftLimit: &limit})).Then(opened, limited(500))
		estest.Projection(a, bank.OverdraftLimit).Is(500)
	})
	t.Run("with a limit of zero, which is a limit that was given", func(t *testing.T) {
		account(t).When(open(bank.Opening{Owner: "Jana", Opened: "2026-01-01", OverdraftLimit: &zero})).Then(opened, limited(0))
	})
	t.Run("on a day that does not exist", func(t *testing.T) {
		account(t).When(open(bank.Opening{Owner: "Jana", Opened: "1993-02-29"})).Invalid("opened")
	})
	t.Run("twice", func(t *testing.T) {
		account(t, opened).When(open(bank.Opening{Owner: "Jana"})).Conflict()
	})
	t.Run("again after closing", func(t *testing.T) {
		account(t, opened, bank.AccountClosed{}).When(open(bank.Opening{Owner: "Jana"})).Conflict()
	})
}

func TestSetOverdraftLimit(t *testing.T) {
	t.Run("up, down and to what it is", func(t *testing.T) {
		account(t, opened).
			When(setLimit(500)).Then(limited(500)).And().
			When(setLimit(100)).Then(limited(100)).And().
			When(setLimit(100)).Then(limited(100)).And().
			When(setLimit(0)).Then(limited(0))
	})
	t.Run("not above what is used of it", func(t *testing.T) {
		account(t, opened, limited(100), withdrawn(100)).
			When(setLimit(99)).Rejected("balance-below-limit").And().
			When(setLimit(100)).Then(limited(100))
	})
	t.Run("as high as 64 bits", func(t *testing.T) {
		account(t, opened).When(setLimit(math.MaxInt64)).Then(limited(math.MaxInt64))
	})
}

func TestSetBeneficiary(t *testing.T) {
	account(t, opened).When(inherit("Petr")).Then(bank.BeneficiarySet{Beneficiary: "Petr"})
}

func TestCloseAccount(t *testing.T) {
	account(t, opened).When(closing()).Then(bank.AccountClosed{})
	account(t, opened, deposited(1)).When(closing()).Rejected("balance-not-zero")
	account(t, opened, limited(1), withdrawn(1)).When(closing()).Rejected("balance-not-zero")
	account(t, opened, deposited(1), withdrawn(1)).When(closing()).Then(bank.AccountClosed{})
}
