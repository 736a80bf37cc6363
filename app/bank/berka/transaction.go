// Package berka imports the bank's real transactions over the public HTTP API.
//
// The file is CSV with a header, one transaction a line, each account's lines
// in chronological order; amounts are crowns with at most two decimals.
package berka

import (
	"encoding/csv"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/longrun-dev/longrun/app/bank"
)

// header is the first line of every file.
const header = "transaction_id,account_id,date,direction,operation,amount,balance_after,purpose,counterparty_bank,counterparty_account"

// Transaction is one line of a file.
type Transaction struct {
	Line    int // in the file; the header is line 1
	ID      string
	Account bank.AccountID
	Amount  bank.Minor // positive as a credit, negative as a debit
	After   bank.Minor // the account's balance after it
	Details bank.Details
}

// Before is the account's balance before the transaction.
func (t Transaction) Before() bank.Minor { return t.After - t.Amount }

// parse reads one line.
func parse(line string) (Transaction, error) {
	f, err := fields(line)
	if err != nil {
		return Transaction{}, err
	}
	t := Transaction{ID: f[0], Account: bank.AccountID(f[1]), Details: bank.Details{
		Operation: f[4], Purpose: f[7], Counterparty: counterparty(f[8], f[9]), Occurred: f[2],
	}}
	if t.ID == "" || t.Account == "" {
		return Transaction{}, errors.New("transaction_id and account_id must not be empty")
	}
	if _, err := time.Parse(time.DateOnly, f[2]); err != nil {
		return Transaction{}, fmt.Errorf("date %q is not a day such as 1993-01-01", f[2])
	}
	if t.Amount, err = minor(f[5]); err != nil || t.Amount <= 0 {
		return Transaction{}, fmt.Errorf("amount %q is not a positive number of crowns with two decimals", f[5])
	}
	if t.After, err = minor(f[6]); err != nil {
		return Transaction{}, fmt.Errorf("balance_after %q is not a number of crowns with two decimals", f[6])
	}
	switch f[3] {
	case "credit":
	case "debit":
		t.Amount = -t.Amount
	default:
		return Transaction{}, fmt.Errorf("direction %q is neither credit nor debit", f[3])
	}
	if before := t.Before(); (before < t.After) != (t.Amount > 0) {
		return Transaction{}, errors.New("amount and balance_after leave 64 bits together")
	}
	return t, nil
}

// fields splits a line. A value does not go over the end of its line, so that a
// stray quote spoils one line only.
func fields(line string) ([]string, error) {
	var f []string
	if strings.Contains(line, `"`) {
		var err error
		if f, err = csv.NewReader(strings.NewReader(line)).Read(); err != nil {
			return nil, errors.New("the quotes do not match")
		}
	} else {
		f = strings.Split(line, ",")
	}
	if want := strings.Count(header, ",") + 1; len(f) != want {
		return nil, fmt.Errorf("%d fields, expected %d", len(f), want)
	}
	return f, nil
}

// minor reads crowns with at most two decimals, exactly.
func minor(s string) (bank.Minor, error) {
	digits, negative := strings.CutPrefix(s, "-")
	whole, fraction, point := strings.Cut(digits, ".")
	if point && fraction == "" || len(fraction) > 2 || whole == "" || strings.Trim(whole+fraction, "0123456789") != "" {
		return 0, strconv.ErrSyntax
	}
	n, err := strconv.ParseInt(whole+fraction+"00"[len(fraction):], 10, 64)
	if err != nil {
		return 0, err
	}
	if negative {
		n = -n
	}
	return bank.Minor(n), nil
}

// crowns writes an amount for people, exactly.
func crowns(m bank.Minor) string {
	sign, n := "", uint64(m)
	if m < 0 {
		sign, n = "-", -n
	}
	return fmt.Sprintf("%s%d.%02d", sign, n/100, n%100)
}

// counterparty is "bank/account"; the file often has only one of them.
func counterparty(bank, account string) string {
	if bank == "" || account == "" {
		return bank + account
	}
	return bank + "/" + account
}
