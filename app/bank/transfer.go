package bank

import "github.com/longrun-dev/longrun/es"

// Transfer is what TransferMoney asks for.
type Transfer struct {
	From   AccountID `json:"from" minLength:"1" maxLength:"512" doc:"the account that pays" example:"576"`
	To     AccountID `json:"to" minLength:"1" maxLength:"512" doc:"the account that receives; another one" example:"3818"`
	Amount Minor     `json:"amount" minimum:"1" doc:"in minor units" example:"100000"`
}

func (t Transfer) from() AccountID { return t.From }
func (t Transfer) to() AccountID   { return t.To }

// sent is the first step of a transfer. The money comes back if it cannot
// arrive, also to an account that was closed meanwhile; only where it would
// leave 64 bits must people make room first.
var sent = es.UndoBy(
	es.Decide("withdraw", Transfer.from, funds, func(f Funds, c es.Call[Transfer]) (es.Events, Minor, error) {
		left, err := f.withdraw(c.In.Amount)
		if err != nil {
			return nil, 0, err
		}
		return es.Events{MoneyWithdrawn{c.In.Amount, Details{Operation: "transfer-out", Counterparty: string(c.In.To)}}}, left, nil
	}),
	"refund", Balance, func(b Minor, c es.Call[Transfer]) (es.Events, error) {
		if _, err := b.plus(c.In.Amount); err != nil {
			return nil, err
		}
		return es.Events{Refunded{c.In.Amount}}, nil
	})

// received is the second. It has no result: what the payee has is not the
// payer's business.
var received = es.Decide("deposit", Transfer.to, funds, func(f Funds, c es.Call[Transfer]) (es.Events, es.None, error) {
	if _, err := f.deposit(c.In.Amount); err != nil {
		return nil, es.None{}, err
	}
	return es.Events{MoneyDeposited{c.In.Amount, Details{Operation: "transfer-in", Counterparty: string(c.In.From)}}}, es.None{}, nil
})

// TransferMoney is the command "transfer-money"; its result is the balance left
// on the account that pays.
var TransferMoney = es.NewCommand("transfer-money", sent, received).
	Valid(func(t Transfer) error {
		if t.From == t.To {
			return es.Invalid("to", "must be another account than the one that pays")
		}
		return nil
	}).
	Doc("Moves money from one account to another and answers with the balance left on the first; if it cannot arrive, it is refunded.")
