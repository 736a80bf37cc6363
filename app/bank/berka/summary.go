package berka

import (
	"fmt"
	"strings"
	"time"
)

// Summary is what an import came to.
type Summary struct {
	Accounts     int
	Transactions int // that were read
	Limits       int // overdraft limits that were raised
	Faults       int // lines of the file that are malformed or do not follow
	Refused      int // commands that the bank did not accept
	Took         time.Duration

	Agree   int // accounts whose balance over the API is as the file says
	Differ  int // accounts whose balance is not
	Shifted int // of those that agree: the file does not begin at their balance; they agree in what it adds
	Moved   int // of all: something happened after the file's transactions, and is left out of the check
}

// OK says whether nothing was wrong.
func (s Summary) OK() bool { return s.Faults == 0 && s.Refused == 0 && s.Differ == 0 }

func (s Summary) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d accounts, %d transactions in %.1f s (%.0f a second), %d overdraft limits raised\n",
		s.Accounts, s.Transactions, s.Took.Seconds(), float64(s.Transactions)/max(s.Took.Seconds(), 1e-9), s.Limits)
	fmt.Fprintf(&b, "balances over the API: %d of %d as the file says, %d differ", s.Agree, s.Accounts, s.Differ)
	if s.Shifted > 0 {
		fmt.Fprintf(&b, "\n  %d accounts did not have the balance that the file begins with: checked is what the file adds", s.Shifted)
	}
	if s.Moved > 0 {
		fmt.Fprintf(&b, "\n  %d accounts moved on after the file: checked is the balance before that", s.Moved)
	}
	if s.Faults > 0 {
		fmt.Fprintf(&b, "\n%d lines of the file are faulty", s.Faults)
	}
	if s.Refused > 0 {
		fmt.Fprintf(&b, "\n%d commands were refused", s.Refused)
	}
	return b.String()
}
