package bank_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/longrun-dev/longrun/app/bank"
	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/es/estest"
)

const payee bank.AccountID = "3818"

// two accounts, and what happened to them.
func two(t testing.TB, payer, payeeEvents es.Events) (w *estest.World, from, to *estest.Stream) {
	t.Helper()
	w = estest.NewWorld(t, bank.Domain())
	return w, estest.Entity(w, bank.Account, id).Given(payer...), estest.Entity(w, bank.Account, payee).Given(payeeEvents...)
}

func transfer(amount bank.Minor) estest.Request {
	return estest.Do(bank.TransferMoney, bank.Transfer{From: id, To: payee, Amount: amount})
}

func sent(amount bank.Minor) bank.MoneyWithdrawn {
	return bank.MoneyWithdrawn{Amount: amount, Details: bank.Details{Operation: "transfer-out", Counterparty: string(payee)}}
}

func received(amount bank.Minor) bank.MoneyDeposited {
	return bank.MoneyDeposited{Amount: amount, Details: bank.Details{Operation: "transfer-in", Counterparty: string(id)}}
}

func TestTransfer(t *testing.T) {
	w, from, to := two(t, es.Events{opened, deposited(100)}, es.Events{opened})
	w.Run(transfer(60)).
		Steps("withdraw completed", "deposit completed").
		Result(bank.Minor(40)). // what the payer has left, not what the payee has
		Appended(from, sent(60)).
		Appended(to, received(60))
	w.Run(transfer(41)).
		Is("failed").Because("insufficient-funds").
		Steps("withdraw rejected", "deposit pending").
		Appended(from).Appended(to)
	w.Run(transfer(40)).Result(bank.Minor(0))
	estest.Projection(to, bank.Balance).Is(100)
}

// What cannot arrive comes back.
func TestTransferThatCannotArrive(t *testing.T) {
	for name, c := range map[string]struct {
		payee  es.Events
		reason string
	}{
		"the payee was never opened":         {nil, "account-not-open"},
		"the payee is closed":                {es.Events{opened, bank.AccountClosed{}}, "account-not-open"},
		"the payee has all that 64 bits can": {es.Events{opened, deposited(math.MaxInt64)}, "out-of-range"},
	} {
		t.Run(name, func(t *testing.T) {
			w, from, to := two(t, es.Events{opened, deposited(100)}, c.payee)
			w.Run(transfer(60)).
				Is("compensated").Because(c.reason).
				Steps("withdraw compensated", "deposit rejected").
				Appended(from, sent(60), bank.Refunded{Amount: 60}).
				Appended(to)
			estest.Projection(from, bank.Balance).Is(100)
		})
	}
}

func TestTransferFromWhatIsNotOpen(t *testing.T) {
	for name, payer := range map[string]es.Events{"never opened": nil, "closed": {opened, bank.AccountClosed{}}} {
		t.Run(name, func(t *testing.T) {
			w, from, to := two(t, payer, es.Events{opened})
			w.Run(transfer(1)).
				Is("failed").Because("account-not-open").
				Steps("withdraw rejected", "deposit pending").
				Appended(from).Appended(to)
		})
	}
}

func TestTransferToTheSameAccountIsInvalid(t *testing.T) {
	w, from, _ := two(t, es.Events{opened, deposited(100)}, nil)
	w.Run(estest.Do(bank.TransferMoney, bank.Transfer{From: id, To: id, Amount: 1})).Invalid("to").Appended(from)
}

// The money is the payer's, whatever became of the account.
func TestTransferIsRefundedToAClosedAccount(t *testing.T) {
	w, from, _ := two(t, es.Events{opened, deposited(60)}, nil)
	w.Run(transfer(60), estest.Before("deposit", func(*estest.Run) { from.When(closing()).Then(bank.AccountClosed{}) })).
		Is("compensated").
		Appended(from, sent(60), bank.Refunded{Amount: 60})
	estest.Projection(from, bank.Balance).Is(60)
}

// A refund for which there is no room waits for people, and no sum wraps.
func TestTransferIsRefundedOnceThereIsRoom(t *testing.T) {
	w, from, _ := two(t, es.Events{opened, deposited(60)}, nil)
	r := w.Run(transfer(60), estest.Before("deposit", func(*estest.Run) { from.When(deposit(math.MaxInt64)).Result(bank.Minor(math.MaxInt64)) })).
		Is("compensation-failed").
		Appended(from, sent(60))
	from.When(withdraw(60)).Then(withdrawn(60))
	r.RetryCompensation().
		Is("compensated").Because("account-not-open").
		Appended(from, sent(60), bank.Refunded{Amount: 60})
	estest.Projection(from, bank.Balance).Is(math.MaxInt64)
}

func TestTransferThatIsCancelledOnTheWay(t *testing.T) {
	w, from, to := two(t, es.Events{opened, deposited(60)}, es.Events{opened})
	w.Run(transfer(60), estest.Before("withdraw", func(r *estest.Run) { r.Cancel() })).
		Is("cancelled").
		Steps("withdraw compensated", "deposit pending").
		Appended(from, sent(60), bank.Refunded{Amount: 60}).
		Appended(to)
}

// What has arrived is not refunded.
func TestTransferThatIsCancelledTooLate(t *testing.T) {
	w, from, to := two(t, es.Events{opened, deposited(60)}, es.Events{opened})
	w.Run(transfer(60), estest.Before("deposit", func(r *estest.Run) { r.Cancel() })).
		Is("completed").
		Appended(from, sent(60)).
		Appended(to, received(60))
}

// Whatever becomes of transfers, and whatever happens in between: nothing is
// made, nothing is lost.
func TestTransfersKeepTheSum(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		w, from, to := two(t, es.Events{opened, deposited(1000)}, es.Events{opened})
		sum := bank.Minor(1000)
		for range rapid.IntRange(1, 10).Draw(r, "transfers") {
			step := rapid.SampledFrom([]string{"withdraw", "deposit"}).Draw(r, "before")
			n := bank.Minor(rapid.Int64Range(1, 600).Draw(r, "amount"))
			between := func(run *estest.Run) {
				switch rapid.SampledFrom([]string{"nothing", "cancel", "withdraw", "limit"}).Draw(r, "between") {
				case "cancel":
					run.Cancel()
				case "withdraw":
					if from.When(withdraw(n)).Err() == nil {
						sum -= n
					}
				case "limit":
					from.When(setLimit(n))
				}
			}
			target := rapid.SampledFrom([]bank.AccountID{payee, "nobody"}).Draw(r, "to")
			amount := bank.Minor(rapid.Int64Range(1, 600).Draw(r, "transfer"))
			w.Run(estest.Do(bank.TransferMoney, bank.Transfer{From: id, To: target, Amount: amount}), estest.Before(step, between))
			if got := estest.Projection(from, bank.Balance).State() + estest.Projection(to, bank.Balance).State(); got != sum {
				r.Fatalf("the accounts hold %d, expected %d", got, sum)
			}
		}
	})
}
