package bank

import (
	"encoding/json"
	"time"

	"github.com/longrun-dev/longrun/es"
)

// Entries are the lines of a statement, oldest first: one for each event that
// moved the balance.
type Entries []Entry

// Entry is one line of a statement.
type Entry struct {
	Sequence uint64    `json:"sequence"` // of the event
	At       time.Time `json:"at"`       // of its commit, UTC
	What     string    `json:"what"`     // the event's name
	Amount   Minor     `json:"amount"`   // added to the balance; negative if taken off
	Balance  Minor     `json:"balance"`  // after it
	Details
}

// Statement is the projection "statement".
var Statement = es.NewProjection(Account, "statement",
	es.OnMeta(func(s Entries, e MoneyDeposited, m es.Meta) Entries {
		return s.with(e.EventName(), e.Amount, e.Details, &m)
	}),
	es.OnMeta(func(s Entries, e MoneyWithdrawn, m es.Meta) Entries {
		return s.with(e.EventName(), -e.Amount, e.Details, &m)
	}),
	es.OnMeta(func(s Entries, e InterestPaid, m es.Meta) Entries {
		return s.with(e.EventName(), e.Amount, Details{}, &m)
	}),
	es.OnMeta(func(s Entries, e Refunded, m es.Meta) Entries {
		return s.with(e.EventName(), e.Amount, Details{}, &m)
	}))

func (s Entries) with(what string, amount Minor, d Details, m *es.Meta) Entries {
	balance := amount
	if len(s) > 0 {
		balance += s[len(s)-1].Balance
	}
	return append(s, Entry{Sequence: m.Sequence, At: m.At, What: what, Amount: amount, Balance: balance, Details: d})
}

// MarshalJSON writes a list also where there is nothing to list.
func (s Entries) MarshalJSON() ([]byte, error) {
	if s == nil {
		return []byte("[]"), nil
	}
	return json.Marshal([]Entry(s))
}
