package main

import (
	"strconv"

	"github.com/longrun-dev/longrun/app/bank"
	"github.com/longrun-dev/longrun/es"
)

// accountType is the entity type of the rows that measure the bank.
const accountType = "bank.account"

// movement is an event of a stream as the import makes it: the account is
// opened, then money comes and goes.
func movement(sequence uint64) es.Event {
	if sequence == 1 {
		return bank.AccountOpened{Owner: "account 576", Opened: "1993-01-01"}
	}
	switch sequence % 3 {
	case 0:
		return bank.MoneyDeposited{Amount: 340100, Details: bank.Details{
			Operation: "transfer-in", Purpose: "pension", Counterparty: "YZ/" + strconv.FormatUint(sequence, 10), Occurred: "1993-01-05",
		}}
	case 1:
		return bank.MoneyWithdrawn{Amount: 120000, Details: bank.Details{Operation: "cash-withdrawal", Occurred: "1993-01-06"}}
	default:
		return bank.MoneyWithdrawn{Amount: 1460, Details: bank.Details{Operation: "cash-withdrawal", Purpose: "statement-fee", Occurred: "1993-01-07"}}
	}
}
