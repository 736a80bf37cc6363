package bank_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/longrun-dev/longrun/app/bank"
	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/es/estest"
)

var payment = estest.Do(bank.PayInterest, bank.Payment{Account: id})

func due(amount bank.Minor) bank.InterestAccrued {
	return bank.InterestAccrued{Day: "2026-01-01", Amount: amount}
}
func paid(amount bank.Minor) bank.InterestPaid { return bank.InterestPaid{Amount: amount} }
func raised(limit bank.Minor) bank.OverdraftLimitSet {
	return bank.OverdraftLimitSet{Limit: limit, Unauthorised: true}
}

// one account, and what happened to it.
func one(t testing.TB, events ...es.Event) (*estest.World, *estest.Stream) {
	t.Helper()
	w := estest.NewWorld(t, bank.Domain())
	return w, estest.Entity(w, bank.Account, id).Given(events...)
}

func TestInterestIsPaid(t *testing.T) {
	w, a := one(t, opened, deposited(100), due(7))
	w.Run(payment).
		Steps("look completed", "extend skipped", "pay completed").
		Result(bank.Minor(7)).
		Appended(a, paid(7))
	w.Run(payment).Result(bank.Minor(0)).Appended(a) // nothing is due any more
	estest.Projection(a, bank.Balance).Is(107)
	estest.Projection(a, bank.InterestDue).Is(0)
}

// If balance + limit + due < 0: to -(balance + due) rounded up to a whole 100,
// plus 1000.
func TestTheLimitIsRaisedWhereInterestDoesNotFit(t *testing.T) {
	for _, c := range []struct{ balance, limit, due, raised bank.Minor }{
		{0, 0, -1, 1100},
		{0, 0, -100, 1100},
		{0, 0, -101, 1200},
		{-950, 1000, -50, 0}, // just fits
		{-950, 1000, -51, 2100},
		{-1000, 1000, -25, 2100},
		{5, 0, -5, 0},
		{5, 0, -6, 1100},
		{-1000, 1000, 5, 0},
		{0, 0, -(math.MaxInt64 - 1007), math.MaxInt64 - 7}, // ...807: the highest multiple of 100 is ...800
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			w, a := one(t, opened, limited(c.limit))
			switch {
			case c.balance > 0:
				a.Given(deposited(c.balance))
			case c.balance < 0:
				a.Given(withdrawn(-c.balance))
			}
			r := w.Run(payment, estest.Before("look", func(*estest.Run) { a.Given(due(c.due)) })).Result(c.due)
			if c.raised == 0 {
				r.Steps("look completed", "extend skipped", "pay completed").Appended(a, paid(c.due))
			} else {
				r.Steps("look completed", "extend completed", "pay completed").Appended(a, raised(c.raised), paid(c.due))
			}
		})
	}
}

func TestInterestThatNoLimitHolds(t *testing.T) {
	for _, c := range []struct{ balance, due bank.Minor }{
		{0, -(math.MaxInt64 - 1006)}, // one too many for the limit
		{0, -math.MaxInt64},
		{-math.MaxInt64, -1},
		{-math.MaxInt64, -2},
		{-math.MaxInt64, -math.MaxInt64},
		{math.MaxInt64, 1},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			w, a := one(t, opened, limited(0))
			if c.balance < 0 {
				a.Given(limited(-c.balance), withdrawn(-c.balance))
			} else if c.balance > 0 {
				a.Given(deposited(c.balance))
			}
			a.Given(due(c.due))
			w.Run(payment).Is("failed").Because("out-of-range").Appended(a)
		})
	}
}

func TestInterestIsPaidToOpenAccountsOnly(t *testing.T) {
	for name, events := range map[string]es.Events{
		"never opened": nil, "closed": {opened, bank.AccountClosed{}},
		"closed with interest due": {opened, due(5), bank.AccountClosed{}}, "closed owing": {opened, due(-5), bank.AccountClosed{}},
	} {
		t.Run(name, func(t *testing.T) {
			w, a := one(t, events...)
			w.Run(payment).Is("failed").Because("account-not-open").Appended(a)
			w.Run(payment).Is("failed").Because("account-not-open").Appended(a)
		})
	}
}

// The steps are turns of their own. What happened between them is seen.
func TestTheAccountMovesWhileInterestIsPaid(t *testing.T) {
	t.Run("the limit is high enough by now", func(t *testing.T) {
		w, a := one(t, opened, due(-50))
		w.Run(payment, estest.Before("extend", func(*estest.Run) { a.When(setLimit(60)).Then(limited(60)) })).
			Steps("look completed", "extend completed", "pay completed").
			Appended(a, paid(-50))
	})
	t.Run("what was left for it is gone", func(t *testing.T) {
		w, a := one(t, opened, deposited(50), due(-50))
		w.Run(payment, estest.Before("pay", func(*estest.Run) { a.When(withdraw(50)).Then(withdrawn(50)) })).
			Steps("look completed", "extend skipped", "pay completed").
			Appended(a, raised(1100), paid(-50)) // owed all the same, and no limit is broken
	})
	t.Run("the new limit is used up", func(t *testing.T) {
		w, a := one(t, opened, due(-50))
		w.Run(payment, estest.Before("pay", func(*estest.Run) { a.When(withdraw(1100)).Then(withdrawn(1100)) })).
			Result(bank.Minor(-50)).
			Appended(a, raised(1100), raised(2200), paid(-50))
	})
	t.Run("it was paid", func(t *testing.T) {
		w, a := one(t, opened, deposited(10), due(5))
		w.Run(payment, estest.Before("pay", func(*estest.Run) { w.Run(payment).Result(bank.Minor(5)) })).
			Result(bank.Minor(0)).
			Appended(a)
	})
	t.Run("it was closed", func(t *testing.T) {
		w, a := one(t, opened, due(-50))
		w.Run(payment, estest.Before("pay", func(*estest.Run) { a.When(closing()).Then(bank.AccountClosed{}) })).
			Is("compensated").Because("account-not-open").
			Appended(a, raised(1100)) // a closed account has no limit to restore
	})
}

// A limit that was raised for nothing goes back, as far as that is possible.
func TestTheLimitIsRestored(t *testing.T) {
	for name, c := range map[string]struct {
		between es.Events // before what was done is undone
		want    es.Events
	}{
		"to what it was":                  {nil, es.Events{raised(1100), limited(20)}},
		"not below what was used":         {es.Events{withdrawn(500)}, es.Events{raised(1100), raised(500)}},
		"not at all if all was used":      {es.Events{withdrawn(1100)}, es.Events{raised(1100)}},
		"not if somebody set another one": {es.Events{limited(700)}, es.Events{raised(1100)}},
	} {
		t.Run(name, func(t *testing.T) {
			w, a := one(t, opened, limited(20), due(-50))
			w.Run(payment,
				estest.Before("extend", func(r *estest.Run) { r.Cancel() }),
				estest.Before("restore", func(*estest.Run) { a.Given(c.between...) })).
				Is("cancelled").
				Steps("look completed", "extend compensated", "pay pending").
				Appended(a, c.want...)
		})
	}
	t.Run("an unauthorised one to an unauthorised one", func(t *testing.T) {
		w, a := one(t, opened, raised(20), due(-50))
		w.Run(payment, estest.Before("extend", func(r *estest.Run) { r.Cancel() })).Appended(a, raised(1100), raised(20))
	})
	t.Run("not once the interest is paid", func(t *testing.T) {
		w, a := one(t, opened, due(-50))
		w.Run(payment, estest.Before("pay", func(r *estest.Run) { r.Cancel() })).
			Is("completed"). // the cancel came too late
			Steps("look completed", "extend completed", "pay completed").
			Appended(a, raised(1100), paid(-50))
	})
}

func TestNoInterestBreaksALimit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		amount := rapid.OneOf(rapid.Int64Range(1, 3000), rapid.Int64Range(1, math.MaxInt64))
		w, a := one(t, opened)
		between := func(run *estest.Run) {
			n := bank.Minor(amount.Draw(r, "amount"))
			switch rapid.SampledFrom([]string{"nothing", "deposit", "withdraw", "limit", "due", "cancel", "close"}).Draw(r, "between") {
			case "deposit":
				a.When(deposit(n))
			case "withdraw":
				a.When(withdraw(n))
			case "limit":
				a.When(setLimit(n))
			case "due":
				if open := estest.Projection(a, bank.InterestDue).State(); open == 0 {
					a.Given(due(-n))
				}
			case "cancel":
				if run != nil {
					run.Cancel()
				}
			case "close":
				a.When(closing())
			}
			balance, limit := estest.Projection(a, bank.Balance).State(), estest.Projection(a, bank.OverdraftLimit).State()
			if balance < -limit {
				r.Fatalf("balance %d is below the limit %d", balance, limit)
			}
		}
		for range rapid.IntRange(1, 10).Draw(r, "commands") {
			between(nil)
			step := rapid.SampledFrom([]string{"look", "extend", "pay"}).Draw(r, "before")
			w.Run(payment, estest.Before(step, between))
		}
		between(nil)
	})
}

// crowd is an account that is open with interest due, one that owes some, one
// with none, one that is closed, and one that was only asked for.
func crowd(t testing.TB) (w *estest.World, rich, poor, none, closed *estest.Stream) {
	t.Helper()
	w = estest.NewWorld(t, bank.Domain()).At(time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC))
	of := func(name string, events ...es.Event) *estest.Stream {
		return estest.Entity(w, bank.Account, bank.AccountID(name)).Given(events...)
	}
	of("asked-for")
	return w, of("rich", opened, deposited(10_000), due(5)), of("poor", opened, due(-5)),
		of("none", opened), of("closed", opened, due(5), bank.AccountClosed{})
}

func TestInterestOfADayIsAccruedForAllOpenAccounts(t *testing.T) {
	w, rich, poor, none, closed := crowd(t)
	w.At(time.Date(2026, 1, 2, 1, 30, 0, 0, time.UTC))
	day := estest.DoAll(bank.AccrueInterestForAll, bank.Accruals{Day: "2026-01-02"})
	accrued := func(amount bank.Minor) bank.InterestAccrued {
		return bank.InterestAccrued{Day: "2026-01-02", Amount: amount}
	}
	w.Run(day).Is("completed").Items(3, 0).
		Appended(rich, accrued(5)).Appended(poor, accrued(0)).Appended(none, accrued(0)).Appended(closed)
	w.Run(day).Is("completed").Items(3, 0).
		Appended(rich).Appended(poor).Appended(none).Appended(closed)
}

func TestInterestOfNoDayIsNotAccruedForAll(t *testing.T) {
	w, rich, _, _, _ := crowd(t)
	w.Run(estest.DoAll(bank.AccrueInterestForAll, bank.Accruals{Day: "2026-02-30"})).Invalid("day").Appended(rich)
	tomorrow := estest.DoAll(bank.AccrueInterestForAll, bank.Accruals{Day: "2026-01-02"})
	w.Run(tomorrow).Is("completed-with-failures").Items(0, 3).Appended(rich)
}

// Every night for the day that has just begun.
func TestInterestIsAccruedByItselfForTheDateInUTC(t *testing.T) {
	for _, c := range bank.Domain().Catalog().Commands {
		if c.Local != "accrue-interest-for-all" {
			continue
		}
		if c.Schedule.Cron != "30 1 * * *" {
			t.Errorf("cron %q", c.Schedule.Cron)
		}
		params, err := c.Schedule.Params(time.Date(2026, 3, 1, 1, 30, 0, 0, time.FixedZone("CET", 3600)).Add(-time.Hour))
		if err != nil || string(params) != `{"day":"2026-02-28"}` {
			t.Errorf("parameters %s, %v", params, err)
		}
		return
	}
	t.Fatal("there is no such batch")
}

func TestInterestIsPaidOnAllAccountsThatHaveAny(t *testing.T) {
	w, rich, poor, none, closed := crowd(t)
	all := estest.DoAll(bank.PayInterestForAll, es.None{})
	w.Run(all).Is("completed").Items(2, 0).
		Appended(rich, paid(5)).
		Appended(poor, raised(1100), paid(-5)).
		Appended(none).Appended(closed)
	w.Run(all).Is("completed").Items(0, 0)
}
