package bank_test

import (
	"fmt"
	"math"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/longrun-dev/longrun/app/bank"
	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/es/estest"
)

// at is midnight of a day in 2026, and so many hours.
func at(month time.Month, day, hour int) time.Time {
	return time.Date(2026, month, day, hour, 0, 0, 0, time.UTC)
}

// with is an account with that balance since the 1st, on the 3rd.
func with(t testing.TB, balance bank.Minor) *estest.Stream {
	a := account(t).At(at(1, 1, 8)).Given(opened, limited(math.MaxInt64))
	switch {
	case balance > 0:
		a.Given(deposited(balance))
	case balance < 0:
		a.Given(withdrawn(-balance))
	}
	return a.At(at(1, 3, 1))
}

func TestInterestIsRoundedHalfAwayFromZero(t *testing.T) {
	for _, c := range []struct{ balance, interest bank.Minor }{
		{0, 0},
		{999, 0}, {1000, 1}, {1001, 1}, {2000, 1}, {2999, 1}, {3000, 2}, {5000, 3},
		{-499, 0}, {-500, -1}, {-501, -1}, {-1000, -1}, {-1499, -1}, {-1500, -2}, {-2500, -3},
		{2540000, 1270},
		{math.MaxInt64, 4611686018427388},
		{-math.MaxInt64, -9223372036854776},
	} {
		t.Run(fmt.Sprint(c.balance), func(t *testing.T) {
			with(t, c.balance).When(accrue("2026-01-02")).
				Then(bank.InterestAccrued{Day: "2026-01-02", Amount: c.interest})
		})
	}
}

// The rule as API.md has it, in arithmetic without limits.
func TestInterestIsExactOverAllOfInt64(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		balance := rapid.Int64Min(-math.MaxInt64).Draw(r, "balance")
		rate := int64(5)
		if balance < 0 {
			rate = 10
		}
		double := big.NewInt(2 * rate) // floor((2·|b|·rate + 10000) / 20000)
		double.Mul(double, new(big.Int).Abs(big.NewInt(balance)))
		want := double.Add(double, big.NewInt(10_000)).Div(double, big.NewInt(20_000))
		if balance < 0 {
			want.Neg(want)
		}
		with(t, bank.Minor(balance)).When(accrue("2026-01-02")).
			Then(bank.InterestAccrued{Day: "2026-01-02", Amount: bank.Minor(want.Int64())})
	})
}

func TestInterestIsOnTheBalanceAtMidnight(t *testing.T) {
	a := account(t).
		At(at(1, 1, 8)).Given(opened, deposited(10_000)).
		At(at(1, 2, 0)).Given(deposited(10_000)). // at midnight sharp: counts
		At(at(1, 2, 0).Add(time.Microsecond)).Given(deposited(10_000)).
		At(at(1, 3, 9))
	a.When(accrue("2026-01-02")).Then(bank.InterestAccrued{Day: "2026-01-02", Amount: 10})
	a.When(accrue("2026-01-03")).Then(bank.InterestAccrued{Day: "2026-01-03", Amount: 15})
	a.When(accrue("2026-01-01")).Then(bank.InterestAccrued{Day: "2026-01-01", Amount: 0}) // not open yet
	a.When(accrue("1993-01-01")).Then(bank.InterestAccrued{Day: "1993-01-01", Amount: 0})
	estest.Projection(a, bank.InterestDue).Is(25)
}

func TestInterestIsAccruedOnceADay(t *testing.T) {
	a := with(t, 10_000)
	a.When(accrue("2026-01-02")).Then(bank.InterestAccrued{Day: "2026-01-02", Amount: 5})
	a.When(accrue("2026-01-02")).Nothing()
	a.Given(deposited(1_000_000)).When(accrue("2026-01-02")).Nothing()
	estest.Projection(a, bank.InterestDue).Is(5)
}

// Zero is accrued too, or a batch would come back to the account for ever.
func TestInterestOfZeroMarksTheDay(t *testing.T) {
	a := with(t, 0)
	estest.Classifier(a, bank.InterestAccruedOn, bank.On{Day: "2026-01-02"}).Is(es.Excluded)
	a.When(accrue("2026-01-02")).Then(bank.InterestAccrued{Day: "2026-01-02"})
	a.When(accrue("2026-01-02")).Nothing()
	estest.Classifier(a, bank.InterestAccruedOn, bank.On{Day: "2026-01-02"}).Is(es.Included)
	estest.Classifier(a, bank.HasInterestDue, es.None{}).Is(es.Excluded)
}

func TestInterestIsNotForTheFuture(t *testing.T) {
	a := account(t).At(at(2, 28, 0)).Given(opened)
	a.When(accrue("2026-02-28")).Then(bank.InterestAccrued{Day: "2026-02-28"}) // began this moment
	a.When(accrue("2026-03-01")).Invalid("day")
	a.At(at(3, 1, 0).Add(-time.Microsecond)).When(accrue("2026-03-01")).Invalid("day")
	a.At(at(3, 1, 0)).When(accrue("2026-03-01")).Then(bank.InterestAccrued{Day: "2026-03-01"})
	account(t).When(accrue("9999-12-31")).Invalid("day") // also where nothing was opened
}

func TestInterestIsForADay(t *testing.T) {
	for _, bad := range []bank.Date{"", "2026-02-29", "2026-1-1", "today", "2026-01-01T00:00:00Z"} {
		with(t, 0).When(accrue(bad)).Invalid("day")
		estest.Classifier(with(t, 0), bank.InterestAccruedOn, bank.On{Day: bad}).Is(es.Undecided)
	}
}

func TestInterestDueStaysWithin64Bits(t *testing.T) {
	a := with(t, 2000).Given(bank.InterestAccrued{Day: "2025-12-31", Amount: math.MaxInt64})
	a.When(accrue("2026-01-02")).Rejected("out-of-range")
	estest.Classifier(a, bank.InterestAccruedOn, bank.On{Day: "2026-01-02"}).Is(es.Excluded)
}
