package berka

import (
	"errors"
	"fmt"
	"io"

	"github.com/longrun-dev/longrun/app/bank"
)

// account is what a file says of one account, and what became of it.
type account struct {
	id     bank.AccountID
	start  bank.Minor // before its first transaction
	lowest bank.Minor // after any
	last   bank.Minor // after its last

	// Of the transactions that the bank accepted.
	posted   bool
	drift    bank.Minor // by how much the bank's balance was above the file's at the first
	sequence uint64     // of the account after the last
}

// survey is the first pass over a file.
type survey struct {
	accounts     []*account // in the order of the file
	byID         map[bank.AccountID]*account
	transactions int
	faults       int // lines that are malformed or do not follow
}

// look reads a file whole and reports what is wrong with its lines. The error
// says that it cannot be imported at all.
func look(file io.Reader, report func(error)) (*survey, error) {
	s := &survey{byID: map[bank.AccountID]*account{}}
	fault := func(err error) {
		s.faults++
		report(err)
	}
	for t, err := range Transactions(file) {
		var line *LineError
		if errors.As(err, &line) {
			fault(err)
			continue
		}
		if err != nil {
			return nil, err
		}
		s.transactions++
		a := s.byID[t.Account]
		if a == nil {
			a = &account{id: t.Account, start: t.Before(), last: t.Before()}
			s.byID[t.Account] = a
			s.accounts = append(s.accounts, a)
		}
		if before := t.Before(); before != a.last {
			fault(&LineError{t.Line, fmt.Errorf("balance_after of account %s is %s, but its line before leads to %s",
				t.Account, crowns(t.After), crowns(a.last+t.Amount))})
		}
		a.last, a.lowest = t.After, min(a.lowest, t.After)
	}
	return s, nil
}
