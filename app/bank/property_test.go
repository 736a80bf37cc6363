package bank_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/longrun-dev/longrun/app/bank"
	"github.com/longrun-dev/longrun/es/estest"
)

// Whatever is asked of an account, in whatever order: the balance never falls
// below the limit, the statement adds up to the balance, and no sum wraps.
func TestMoneyIsNeitherMadeNorLost(t *testing.T) {
	t.Parallel()
	amount := rapid.OneOf(
		rapid.Int64Range(1, 1000),
		rapid.Int64Range(1, math.MaxInt64),
		rapid.Just(int64(math.MaxInt64)))
	rapid.Check(t, func(r *rapid.T) {
		a := account(t, opened)
		now := estest.Start
		for range rapid.IntRange(1, 40).Draw(r, "commands") {
			now = now.Add(time.Duration(rapid.IntRange(0, 30).Draw(r, "hours")) * time.Hour)
			a.At(now)
			before := estest.Projection(a, bank.Balance).State()
			n := bank.Minor(amount.Draw(r, "amount"))
			var succeeded bool
			var after bank.Minor
			switch rapid.SampledFrom([]string{"deposit", "withdraw", "limit", "accrue", "close"}).Draw(r, "command") {
			case "deposit":
				succeeded, after = a.When(deposit(n)).Err() == nil, before+n
			case "withdraw":
				succeeded, after = a.When(withdraw(n)).Err() == nil, before-n
			case "limit":
				succeeded, after = a.When(setLimit(n)).Err() == nil, before
			case "accrue":
				succeeded, after = a.When(accrue(bank.Date(now.Format(time.DateOnly)))).Err() == nil, before
			case "close":
				succeeded, after = a.When(closing()).Err() == nil, before
			}
			balance := estest.Projection(a, bank.Balance).State()
			if want := map[bool]bank.Minor{true: after, false: before}[succeeded]; balance != want {
				r.Fatalf("balance %d, expected %d", balance, want)
			}
			if limit := estest.Projection(a, bank.OverdraftLimit).State(); balance < -limit {
				r.Fatalf("balance %d is below the limit %d", balance, limit)
			}
		}
		var sum bank.Minor
		for _, entry := range estest.Projection(a, bank.Statement).State() {
			if sum += entry.Amount; sum != entry.Balance {
				r.Fatalf("entry %d: balance %d, amounts come to %d", entry.Sequence, entry.Balance, sum)
			}
		}
		if balance := estest.Projection(a, bank.Balance).State(); sum != balance {
			r.Fatalf("the statement comes to %d, the balance is %d", sum, balance)
		}
	})
}
