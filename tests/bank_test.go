package tests

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var bankJourneys = []journey{
	{"open-account", opensAccounts},
	{"deposit-money and withdraw-money", movesMoney},
	{"set-overdraft-limit", setsALimit},
	{"set-beneficiary", setsABeneficiary},
	{"close-account", closesAnAccount},
	{"accrue-interest", accruesInterest},
	{"an account that is not open", asksOfAClosedAccount},
}

const (
	setLimit       = "bank.set-overdraft-limit"
	setBeneficiary = "bank.set-beneficiary"
	closeAccount   = "bank.close-account"
	accrueInterest = "bank.accrue-interest"
)

// holds compares an account's stream with names of events and their data, in
// turn.
func (b *bank) holds(t *testing.T, key string, want ...any) {
	t.Helper()
	events := b.events(t, of(key, "events"))
	require.Len(t, events, len(want)/2)
	for i, e := range events {
		require.Equal(t, want[2*i], e.Name)
		require.JSONEq(t, jsonText(t, want[2*i+1]), string(e.Data))
	}
}

func opensAccounts(t *testing.T, b *bank) {
	key, limited := unique("account"), unique("account")
	b.post(t, openAccount, params{"account": key, "owner": "Jana", "opened": "1993-02-28"}).completed()
	b.post(t, openAccount, params{"account": key, "owner": "Petr"}).fails("conflict")
	b.holds(t, key, "account-opened", params{"owner": "Jana", "opened": "1993-02-28"})

	got := b.post(t, openAccount, params{"account": limited, "owner": "Jana", "opened": "1993-03-01", "overdraftLimit": 100000}).completed()
	require.EqualValues(t, 2, got.Sequence)
	b.holds(t, limited,
		"account-opened", params{"owner": "Jana", "opened": "1993-03-01"},
		"overdraft-limit-set", params{"limit": 100000, "unauthorised": false})

	fresh := unique("account")
	b.post(t, openAccount, params{"account": fresh}).invalid("owner")
	b.post(t, openAccount, params{"account": fresh, "owner": "Jana", "overdraftLimit": -1}).invalid("overdraftLimit")
	b.post(t, openAccount, params{"account": fresh, "owner": "Jana", "opened": "1993-02-29"}).invalid("opened")
	b.get(t, of(fresh, "events")).fails("not-found")
}

func movesMoney(t *testing.T, b *bank) {
	key := b.account(t, 0, 50)
	details := params{"operation": "cash", "purpose": "pension", "counterparty": "YZ/62457513", "occurred": "1993-01-05"}
	in, out := params{"account": key, "amount": 100}, params{"account": key, "amount": 150}
	for name, value := range details {
		in[name], out[name] = value, value
	}
	require.JSONEq(t, "100", string(b.post(t, deposit, in).completed().Result))
	require.JSONEq(t, "-50", string(b.post(t, withdraw, out).completed().Result))
	b.post(t, withdraw, params{"account": key, "amount": 1}).rejected("insufficient-funds")
	require.Equal(t, int64(-50), b.balance(t, key))

	events := b.events(t, of(key, "events"))
	require.Equal(t, []string{"account-opened", "overdraft-limit-set", "money-deposited", "money-withdrawn"}, names(events))
	for i, amount := range []int{100, 150} {
		want := params{"amount": amount}
		for name, value := range details {
			want[name] = value
		}
		require.JSONEq(t, jsonText(t, want), string(events[2+i].Data))
	}
}

func setsALimit(t *testing.T, b *bank) {
	key := b.account(t, 0, 0)
	b.post(t, setLimit, params{"account": key, "limit": 100}).completed()
	b.post(t, withdraw, params{"account": key, "amount": 60}).completed()
	b.post(t, setLimit, params{"account": key, "limit": 59}).rejected("balance-below-limit")
	b.post(t, setLimit, params{"account": key, "limit": 60}).completed()
	b.post(t, setLimit, params{"account": key, "limit": -1}).invalid("limit")
	require.JSONEq(t, "60", string(b.project(t, key, "overdraft-limit").State))
	b.post(t, withdraw, params{"account": key, "amount": 1}).rejected("insufficient-funds")
}

func setsABeneficiary(t *testing.T, b *bank) {
	key := b.account(t, 0, 0)
	b.post(t, setBeneficiary, params{"account": key, "beneficiary": "Petr"}).completed()
	events := b.events(t, of(key, "events"))
	require.Equal(t, []string{"account-opened", "beneficiary-set"}, names(events))
	require.JSONEq(t, `{"beneficiary":"Petr"}`, string(events[1].Data))
	b.post(t, setBeneficiary, params{"account": key}).invalid("beneficiary")
}

func closesAnAccount(t *testing.T, b *bank) {
	key := b.account(t, 1, 0)
	b.post(t, closeAccount, params{"account": key}).rejected("balance-not-zero")
	b.post(t, withdraw, params{"account": key, "amount": 1}).completed()
	b.post(t, closeAccount, params{"account": key}).completed()
	events := b.events(t, of(key, "events"))
	require.Equal(t, "account-closed", events[len(events)-1].Name)
	require.JSONEq(t, "{}", string(events[len(events)-1].Data))
	require.Contains(t, b.keys(t, "1000"), key, "a closed account stays")
}

// accruesInterest can only accrue on days before the account was opened, or on
// which it was: there the balance as of midnight is 0. (The rest is shown in
// app/bank, where time can be chosen.)
func accruesInterest(t *testing.T, b *bank) {
	key := b.account(t, 1_000_000, 0)
	today := time.Now().UTC()
	for i, day := range []string{"1993-01-01", today.Format(time.DateOnly)} {
		command := params{"account": key, "day": day}
		got := b.post(t, accrueInterest, command).completed()
		require.EqualValues(t, 3+i, got.Sequence)
		again := b.post(t, accrueInterest, command).completed()
		require.EqualValues(t, 3+i, again.Sequence, "a day that was done appends nothing")
		require.Equal(t, "completed", b.progress(t, accrueInterest, again.ID).Status)
	}
	events := b.events(t, of(key, "events"))
	require.Equal(t, []string{"account-opened", "money-deposited", "interest-accrued", "interest-accrued"}, names(events))
	require.JSONEq(t, `{"day":"1993-01-01","amount":0}`, string(events[2].Data))
	b.post(t, accrueInterest, params{"account": key, "day": today.AddDate(0, 0, 2).Format(time.DateOnly)}).invalid("day")
	b.post(t, accrueInterest, params{"account": key, "day": "1993-02-29"}).invalid("day")
	b.post(t, accrueInterest, params{"account": key}).invalid("day")
	require.JSONEq(t, "0", string(b.project(t, key, "interest-due").State))
}

func asksOfAClosedAccount(t *testing.T, b *bank) {
	closed := b.account(t, 0, 0)
	b.post(t, closeAccount, params{"account": closed}).completed()
	for _, key := range []string{closed, unique("never")} {
		for command, p := range map[string]params{
			deposit: {"amount": 1}, withdraw: {"amount": 1}, setLimit: {"limit": 0},
			setBeneficiary: {"beneficiary": "Petr"}, closeAccount: {}, accrueInterest: {"day": "1993-01-01"},
		} {
			p["account"] = key
			b.post(t, command, p).rejected("account-not-open")
		}
	}
	b.post(t, openAccount, params{"account": closed, "owner": "Jana"}).fails("conflict")
	require.Len(t, b.events(t, of(closed, "events")), 2)
}
