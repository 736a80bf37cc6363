package bank_test

import (
	"encoding/json"
	"testing"

	"github.com/longrun-dev/longrun/app/bank"
	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/es/estest"
)

func TestInterestAndRefundsMoveTheBalance(t *testing.T) {
	a := account(t, opened, deposited(100), withdrawn(30), bank.Refunded{Amount: 30},
		bank.InterestAccrued{Day: "2026-01-01", Amount: 7}, bank.InterestAccrued{Day: "2026-01-02", Amount: -9},
		bank.InterestPaid{Amount: -2})
	estest.Projection(a, bank.Balance).Is(98)
	estest.Projection(a, bank.InterestDue).Is(0)
}

func TestStatement(t *testing.T) {
	d := bank.Details{Operation: "transfer-in", Purpose: "pension", Counterparty: "YZ/1", Occurred: "1993-01-05"}
	a := account(t, opened, bank.MoneyDeposited{Amount: 100, Details: d}, limited(50)).
		At(at(1, 2, 0)).
		Given(withdrawn(120), bank.InterestPaid{Amount: -1}, bank.Refunded{Amount: 120})
	estest.Projection(a, bank.Statement).Is(bank.Entries{
		{Sequence: 2, At: estest.Start, What: "money-deposited", Amount: 100, Balance: 100, Details: d},
		{Sequence: 4, At: at(1, 2, 0), What: "money-withdrawn", Amount: -120, Balance: -20},
		{Sequence: 5, At: at(1, 2, 0), What: "interest-paid", Amount: -1, Balance: -21},
		{Sequence: 6, At: at(1, 2, 0), What: "refunded", Amount: 120, Balance: 99},
	})
	estest.Projection(a, bank.Statement).AsOf(estest.Start).Is(bank.Entries{
		{Sequence: 2, At: estest.Start, What: "money-deposited", Amount: 100, Balance: 100, Details: d},
	})
}

func TestAnEmptyStatementIsAList(t *testing.T) {
	data, err := json.Marshal(estest.Projection(account(t), bank.Statement).State())
	if err != nil || string(data) != "[]" {
		t.Errorf("%s, %v", data, err)
	}
}

func TestStatus(t *testing.T) {
	estest.Projection(account(t), bank.StatusOf).Is("")
	estest.Projection(account(t, opened), bank.StatusOf).Is(bank.Open)
	estest.Projection(account(t, opened, bank.AccountClosed{}), bank.StatusOf).Is(bank.Closed)
}

func TestClassifiers(t *testing.T) {
	due := bank.InterestAccrued{Day: "2026-01-01", Amount: -1}
	for name, c := range map[string]struct {
		a                           *estest.Stream
		open, below, overdrawn, due es.Verdict
	}{
		"empty":            {account(t, opened), es.Included, es.Included, es.Excluded, es.Excluded},
		"at the threshold": {account(t, opened, deposited(100)), es.Included, es.Excluded, es.Excluded, es.Excluded},
		"below it":         {account(t, opened, deposited(99)), es.Included, es.Included, es.Excluded, es.Excluded},
		"overdrawn":        {account(t, opened, limited(1), withdrawn(1)), es.Included, es.Included, es.Included, es.Excluded},
		"interest due":     {account(t, opened, deposited(100), due), es.Included, es.Excluded, es.Excluded, es.Included},
		"paid":             {account(t, opened, deposited(100), due, bank.InterestPaid{Amount: -1}), es.Included, es.Included, es.Excluded, es.Excluded},
		"closed while due": {account(t, opened, due, bank.AccountClosed{}), es.Excluded, es.Included, es.Excluded, es.Excluded},
		"never opened":     {account(t), es.Excluded, es.Excluded, es.Excluded, es.Excluded},
	} {
		t.Run(name, func(*testing.T) {
			estest.Classifier(c.a, bank.IsOpen, es.None{}).Is(c.open)
			estest.Classifier(c.a, bank.BalanceBelow, bank.Below{Threshold: 100}).Is(c.below)
			estest.Classifier(c.a, bank.Overdrawn, es.None{}).Is(c.overdrawn)
			estest.Classifier(c.a, bank.HasInterestDue, es.None{}).Is(c.due)
		})
	}
}
