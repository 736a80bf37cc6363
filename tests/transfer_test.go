package tests

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var transferJourneys = []journey{
	{"money is transferred", transfers},
	{"a transfer that cannot be paid fails", failsATransfer},
	{"a transfer that cannot arrive is compensated", compensatesATransfer},
	{"transfers that are not valid", refusesTransfers},
	{"a transfer that is not waited for", acceptsATransfer},
	{"a transfer that comes again", repeatsATransfer},
	{"a transfer that is sent many times at once runs once", racesATransfer},
	{"an id is of one command only, direct or not", reusesIDsAcrossKinds},
	{"the progress of a transfer as of earlier moments", readsEarlierTransfer},
	{"a transfer's stream is followed to its end", followsATransfer},
	{"a transfer that starts later", startsATransferLater},
	{"a direct command that starts later", startsADepositLater},
	{"a command that is to start later is cancelled", cancelsAScheduledTransfer},
	{"nothing can be done to a transfer that has ended", actsOnEndedTransfers},
	{"what a transfer takes no signal for", signalsATransfer},
	{"many transfers between a few accounts", transfersALot},
	{"who asked for a transfer is in all its events", transfersInAContext},
	{"ids of every kind can be those of transfers", transfersWithStrangeIDs},
	{"pay-interest where nothing is due", paysNoInterest},
	{"pay-interest on an account that is not open", paysInterestToNobody},
	{"transfers are listed with what became of them", listsTransfers},
}

func transfers(t *testing.T, b *bank) {
	from, to, command := b.account(t, 1000, 0), b.account(t, 5, 0), unique("transfer")
	p := b.run(t, transfer, params{"from": from, "to": to, "amount": 400}, id(command))
	require.Equal(t, []string{command, transfer, "completed"}, []string{p.ID, p.Command, p.Status})
	require.Equal(t, map[string]string{"withdraw": "completed", "deposit": "completed"}, p.stepStatuses())
	require.JSONEq(t, "600", string(p.Result))
	require.JSONEq(t, jsonText(t, params{"from": from, "to": to, "amount": 400}), string(p.Parameters))
	require.Nil(t, p.Error)
	require.Nil(t, p.Items)
	require.Equal(t, p, b.progress(t, transfer, command))
	require.Equal(t, []int64{600, 405}, []int64{b.balance(t, from), b.balance(t, to)})

	paid, got := b.events(t, of(from, "events")), b.events(t, of(to, "events"))
	require.Equal(t, []string{"account-opened", "money-deposited", "money-withdrawn"}, names(paid))
	require.Equal(t, []string{"account-opened", "money-deposited", "money-deposited"}, names(got))
	require.JSONEq(t, jsonText(t, params{"amount": 400, "operation": "transfer-out", "counterparty": to}), string(paid[2].Data))
	require.JSONEq(t, jsonText(t, params{"amount": 400, "operation": "transfer-in", "counterparty": from}), string(got[2].Data))

	events := b.commandEvents(t, transfer, command)
	require.Equal(t, []string{
		"created", "parameters-set", "validated", "step-initiated", "step-completed", "step-initiated", "step-completed", "completed",
	}, names(events))
	for i, e := range events {
		require.EqualValues(t, i+1, e.Sequence)
	}
	require.Equal(t, stepEvent{Step: "withdraw", Entity: accountType, Key: from}, events[3].step(t))
	require.Equal(t, stepEvent{Step: "withdraw", Sequence: 3, Result: []byte("600")}, events[4].step(t))
	require.Equal(t, stepEvent{Step: "deposit", Entity: accountType, Key: to}, events[5].step(t))
	require.EqualValues(t, 3, events[6].step(t).Sequence)
}

func failsATransfer(t *testing.T, b *bank) {
	from, to, command := b.account(t, 10, 0), b.account(t, 0, 0), unique("transfer")
	p := b.run(t, transfer, params{"from": from, "to": to, "amount": 11}, id(command))
	require.Equal(t, "failed", p.Status)
	require.Equal(t, []string{"rejected", "insufficient-funds"}, []string{p.Error.Code, p.Error.Reason})
	require.Equal(t, map[string]string{"withdraw": "rejected", "deposit": "pending"}, p.stepStatuses())
	require.Equal(t, 1, p.Steps[0].Attempts, "a rejection is never tried again")
	require.Nil(t, p.Result)
	require.Equal(t, []int64{10, 0}, []int64{b.balance(t, from), b.balance(t, to)})
	events := names(b.commandEvents(t, transfer, command))
	require.Equal(t, []string{"step-rejected", "failed"}, events[len(events)-2:])

	b.post(t, deposit, params{"account": from, "amount": 100}).completed()
	again := b.run(t, transfer, params{"from": from, "to": to, "amount": 11}, id(command))
	require.Equal(t, p, again, "what became of it stays")
	require.Equal(t, int64(110), b.balance(t, from))
}

func compensatesATransfer(t *testing.T, b *bank) {
	closed := b.account(t, 0, 0)
	b.post(t, closeAccount, params{"account": closed}).completed()
	for _, to := range []string{closed, unique("never")} {
		from, command := b.account(t, 100, 0), unique("transfer")
		p := b.run(t, transfer, params{"from": from, "to": to, "amount": 60}, id(command))
		require.Equal(t, "compensated", p.Status)
		require.Equal(t, "account-not-open", p.Error.Reason)
		require.Equal(t, map[string]string{"withdraw": "compensated", "deposit": "rejected"}, p.stepStatuses())
		require.Equal(t, int64(100), b.balance(t, from))
		events := b.events(t, of(from, "events"))
		require.Equal(t, []string{"account-opened", "money-deposited", "money-withdrawn", "refunded"}, names(events))
		require.JSONEq(t, `{"amount":60}`, string(events[3].Data))
		told := b.commandEvents(t, transfer, command)
		require.Equal(t, []string{
			"created", "parameters-set", "validated", "step-initiated", "step-completed", "step-initiated", "step-rejected",
			"compensation-started", "compensation-completed", "compensated",
		}, names(told))
		require.Equal(t, stepEvent{Step: "withdraw", Undo: "refund", Entity: accountType, Key: from, Sequence: 4}, told[8].step(t))
		if to != closed {
			b.get(t, of(to, "events")).fails("not-found")
			require.NotContains(t, b.keys(t, "1000"), to, "who was never opened is no account")
		}
	}
	require.Len(t, b.events(t, of(closed, "events")), 2)
}

func refusesTransfers(t *testing.T, b *bank) {
	from, to, command := b.account(t, 100, 0), b.account(t, 0, 0), unique("transfer")
	good := params{"from": from, "to": to, "amount": 1}
	b.post(t, transfer, params{"from": from, "to": from, "amount": 1}, id(command)).invalid("to")
	b.post(t, transfer, params{"from": from}, id(command)).invalid("to", "amount")
	b.post(t, transfer, params{"from": from, "to": to, "amount": 0}, id(command)).invalid("amount")
	b.post(t, transfer, params{"from": from, "to": to, "amount": 1, "purpose": "rent"}, id(command)).invalid("purpose")
	b.post(t, transfer, "{", id(command)).fails("invalid")
	for _, name := range []string{"dryRun", "ratePerSecond", "stopAfterFailures", "expectedSequence"} {
		b.post(t, transfer, good, id(command), query(name, "1")).invalid(name)
	}
	b.post(t, transfer, good, id(command), query("startAt", "tomorrow")).invalid("startAt")
	b.post(t, transfer, good, id(command), query("wait", "soon")).invalid("wait")
	b.post(t, "bank.rob", good, id(command)).fails("not-found")
	b.get(t, path("commands", transfer, command)).fails("not-found")
	require.Equal(t, int64(100), b.balance(t, from))
}

func acceptsATransfer(t *testing.T, b *bank) {
	from, to := b.account(t, 10, 0), b.account(t, 0, 0)
	got := b.post(t, transfer, params{"from": from, "to": to, "amount": 4}).accepted()
	require.NotEmpty(t, got.ID)
	require.Equal(t, transfer, got.Command)
	require.Contains(t, []string{"created", "running", "completed"}, got.Status)
	require.Equal(t, "completed", b.awaitEnd(t, transfer, got.ID).Status)
	require.Equal(t, int64(4), b.balance(t, to))

	// One that does not end in time is a 202 as well.
	later := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	slow := b.post(t, transfer, params{"from": from, "to": to, "amount": 4}, query("wait", "50ms", "startAt", later)).accepted()
	require.Equal(t, "scheduled", slow.Status)
	b.action(t, transfer, slow.ID, "cancel").accepted()
}

func repeatsATransfer(t *testing.T, b *bank) {
	from, to, command := b.account(t, 10, 0), b.account(t, 0, 0), unique("transfer")
	ask := params{"from": from, "to": to, "amount": 4}
	p := b.run(t, transfer, ask, id(command))
	events := b.commandEvents(t, transfer, command)
	again := b.post(t, transfer, fmt.Sprintf(`{ "amount":4.0, "to":%q, "from":%q}`, to, from), id(command)).accepted()
	require.Equal(t, accepted{command, transfer, "completed"}, again)
	require.Equal(t, p, b.run(t, transfer, ask, id(command)))
	b.post(t, transfer, params{"from": from, "to": to, "amount": 5}, id(command)).fails("conflict")
	b.post(t, transfer, params{"from": to, "to": from, "amount": 4}, id(command)).fails("conflict")
	b.post(t, transfer, ask, id(command), query("startAt", "2026-01-01T00:00:00Z")).fails("conflict")
	b.post(t, payInterest, params{"account": from}, id(command)).fails("conflict")
	require.Equal(t, events, b.commandEvents(t, transfer, command))
	require.Equal(t, []int64{6, 4}, []int64{b.balance(t, from), b.balance(t, to)})
}

func racesATransfer(t *testing.T, b *bank) {
	from, to, command := b.account(t, 100, 0), b.account(t, 0, 0), unique("transfer")
	answers := atOnce(16, func(i int) answer {
		ask := params{"from": from, "to": to, "amount": 7}
		if i%2 == 0 {
			return b.post(t, transfer, ask, id(command))
		}
		return b.post(t, transfer, ask, id(command), query("wait", "25s"))
	})
	for i, a := range answers {
		if i%2 == 0 {
			a.accepted()
			continue
		}
		require.Equal(t, "completed", a.ended().Status)
	}
	require.Equal(t, []int64{93, 7}, []int64{b.balance(t, from), b.balance(t, to)})
	require.Equal(t, []string{
		"created", "parameters-set", "validated", "step-initiated", "step-completed", "step-initiated", "step-completed", "completed",
	}, names(b.commandEvents(t, transfer, command)))
}

func reusesIDsAcrossKinds(t *testing.T, b *bank) {
	from, to, direct, long := b.account(t, 100, 0), b.account(t, 0, 0), unique("direct"), unique("long")
	b.post(t, deposit, params{"account": from, "amount": 1}, id(direct)).completed()
	b.post(t, transfer, params{"from": from, "to": to, "amount": 1}, id(direct)).fails("conflict")
	b.post(t, accrueForAll, params{"day": "1993-01-01"}, id(direct)).fails("conflict")
	b.run(t, transfer, params{"from": from, "to": to, "amount": 1}, id(long))
	b.post(t, deposit, params{"account": from, "amount": 1}, id(long)).fails("conflict")
	b.post(t, withdraw, params{"account": from, "amount": 1}, id(long)).fails("conflict")
	b.post(t, deposit, params{"account": from, "amount": 1}, id(long), query("startAt", "2026-01-01T00:00:00Z")).fails("conflict")
	require.Equal(t, []int64{100, 1}, []int64{b.balance(t, from), b.balance(t, to)})
	b.get(t, path("commands", deposit, long)).fails("not-found")
	b.get(t, path("commands", transfer, direct)).fails("not-found")
}

// readsEarlierTransfer reads the progress as of every event of the stream.
func readsEarlierTransfer(t *testing.T, b *bank) {
	from, command := b.account(t, 100, 0), unique("transfer")
	b.run(t, transfer, params{"from": from, "to": unique("never"), "amount": 1}, id(command))
	statuses := map[string][]string{ // of the command, the withdrawal and the deposit, after an event
		"created": {"created", "pending", "pending"}, "parameters-set": {"created", "pending", "pending"}, "validated": {"created", "pending", "pending"},
		"step-initiated withdraw": {"running", "running", "pending"}, "step-completed withdraw": {"running", "completed", "pending"},
		"step-initiated deposit": {"running", "completed", "running"}, "step-rejected deposit": {"running", "completed", "rejected"},
		"compensation-started withdraw": {"running", "completed", "rejected"}, "compensation-completed withdraw": {"running", "compensated", "rejected"},
		"compensated": {"compensated", "compensated", "rejected"},
	}
	events := b.commandEvents(t, transfer, command)
	for i, e := range events {
		if i+1 < len(events) && events[i+1].Context.At.Equal(e.Context.At) {
			continue // of the same commit, or of the same moment
		}
		name := e.Name
		if step := e.step(t).Step; step != "" {
			name += " " + step
		}
		p := b.progress(t, transfer, command, asOf(e.Context.At))
		require.Equal(t, []string{p.Status, p.Steps[0].Status, p.Steps[1].Status}, statuses[name], name)
		require.Equal(t, name == "compensated", p.EndedAt != nil, name)
		if i+1 < len(events) {
			between := e.Context.At.Add(events[i+1].Context.At.Sub(e.Context.At) / 2).Truncate(time.Microsecond)
			require.Equal(t, p, b.progress(t, transfer, command, asOf(between)), name)
		}
	}
	b.get(t, path("commands", transfer, command), asOf(events[0].Context.At.Add(-time.Microsecond))).fails("not-found")
	b.get(t, path("commands", transfer, command), asOf(time.Now().Add(time.Hour))).fails("invalid")
}

// followsATransfer follows at every replica from before it has begun to run.
func followsATransfer(t *testing.T, b *bank) {
	from, to := b.account(t, 100, 0), b.account(t, 0, 0)
	start := time.Now().Add(1500 * time.Millisecond).UTC()
	got := b.post(t, transfer, params{"from": from, "to": to, "amount": 1}, query("startAt", start.Format(time.RFC3339Nano))).accepted()
	var followers []*follower
	for range b.API {
		followers = append(followers, b.follow(t, path("commands", transfer, got.ID, "events")))
	}
	var seen [][]event
	for _, f := range followers {
		var all []event
		for len(all) == 0 || all[len(all)-1].Name != "completed" {
			all = append(all, f.next())
		}
		seen = append(seen, all)
	}
	events := b.commandEvents(t, transfer, got.ID)
	for _, all := range seen {
		require.Equal(t, events, all)
	}
	for _, e := range events {
		if e.Name == "step-initiated" {
			require.False(t, e.Context.At.Before(start), "nothing begins before its time")
		}
	}
}

func startsATransferLater(t *testing.T, b *bank) {
	from, to, command := b.account(t, 100, 0), b.account(t, 0, 0), unique("transfer")
	ask := params{"from": from, "to": to, "amount": 1}
	start := time.Now().Add(3 * time.Second).UTC().Truncate(time.Millisecond)
	at := query("startAt", start.Format(time.RFC3339Nano))
	require.Equal(t, accepted{command, transfer, "scheduled"}, b.post(t, transfer, ask, id(command), at).accepted())
	require.Equal(t, accepted{command, transfer, "scheduled"}, b.post(t, transfer, ask, id(command), at).accepted())
	b.post(t, transfer, ask, id(command)).fails("conflict")
	require.Len(t, b.listed(t, command, "status", "scheduled"), 1)
	require.Equal(t, int64(100), b.balance(t, from))
	p := b.awaitEnd(t, transfer, command)
	require.Equal(t, "completed", p.Status)
	require.False(t, p.Steps[0].StartedAt.Before(start))
	require.Less(t, p.Steps[0].StartedAt.Sub(start), 10*time.Second)
	require.Equal(t, int64(99), b.balance(t, from))

	past := b.post(t, transfer, ask, query("startAt", "1993-01-01T00:00:00Z", "wait", "25s")).ended()
	require.Equal(t, "completed", past.Status)
}

func startsADepositLater(t *testing.T, b *bank) {
	key, command, no := b.account(t, 0, 0), unique("deposit"), unique("withdraw")
	start := time.Now().Add(1500 * time.Millisecond).UTC()
	at := query("startAt", start.Format(time.RFC3339Nano))
	require.Equal(t, "scheduled", b.post(t, deposit, params{"account": key, "amount": 5}, id(command), at).accepted().Status)
	require.Equal(t, "scheduled", b.post(t, withdraw, params{"account": key, "amount": 50}, id(no), at).accepted().Status)
	b.post(t, deposit, params{"account": key, "amount": 5}, id(command)).fails("conflict")
	b.post(t, deposit, params{"account": key, "amount": 5}, at, query("expectedSequence", "1")).invalid("expectedSequence")
	p := b.awaitEnd(t, deposit, command)
	require.Equal(t, "completed", p.Status)
	require.JSONEq(t, "5", string(p.Result))
	require.False(t, p.Steps[0].StartedAt.Before(start))
	p = b.awaitEnd(t, withdraw, no)
	require.Equal(t, []string{"rejected", "insufficient-funds"}, []string{p.Status, p.Error.Reason})
	require.Equal(t, int64(5), b.balance(t, key))
	b.action(t, deposit, command, "cancel").fails("conflict")
}

func cancelsAScheduledTransfer(t *testing.T, b *bank) {
	from, to := b.account(t, 100, 0), b.account(t, 0, 0)
	at := query("startAt", time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	for command, ask := range map[string]params{
		transfer: {"from": from, "to": to, "amount": 1}, deposit: {"account": from, "amount": 1},
	} {
		got := b.post(t, command, ask, at).accepted()
		b.action(t, command, got.ID, "pause").fails("conflict")
		b.action(t, command, got.ID, "resume").fails("conflict")
		b.action(t, command, got.ID, "retry-failed").fails("conflict")
		require.Equal(t, "scheduled", b.progress(t, command, got.ID).Status)
		b.action(t, command, got.ID, "cancel").accepted()
		p := b.awaitEnd(t, command, got.ID)
		require.Equal(t, "cancelled", p.Status)
		for _, status := range p.stepStatuses() {
			require.Equal(t, "pending", status)
		}
		b.action(t, command, got.ID, "cancel").fails("conflict")
	}
	require.Equal(t, int64(100), b.balance(t, from))
}

func actsOnEndedTransfers(t *testing.T, b *bank) {
	from, to := b.account(t, 100, 0), b.account(t, 0, 0)
	for want, p := range map[string]progress{
		"completed":   b.run(t, transfer, params{"from": from, "to": to, "amount": 1}),
		"failed":      b.run(t, transfer, params{"from": from, "to": to, "amount": 1000}),
		"compensated": b.run(t, transfer, params{"from": from, "to": unique("never"), "amount": 1}),
	} {
		require.Equal(t, want, p.Status)
		for _, action := range [][]string{{"cancel"}, {"pause"}, {"resume"}, {"retry-failed"}, {"signal", "go"}, {"signal", "retry-compensation"}} {
			b.action(t, transfer, p.ID, action...).fails("conflict")
			b.action(t, transfer, unique("never"), action...).fails("not-found")
			b.action(t, payInterest, p.ID, action...).fails("not-found")
		}
		b.do(t, http.MethodGet, path("commands", transfer, p.ID, "failures"), nil).fails("conflict")
		require.Equal(t, p, b.progress(t, transfer, p.ID), "nothing has changed")
	}
}

func signalsATransfer(t *testing.T, b *bank) {
	from, to := b.account(t, 100, 0), b.account(t, 0, 0)
	got := b.post(t, transfer, params{"from": from, "to": to, "amount": 1},
		query("startAt", time.Now().Add(time.Hour).UTC().Format(time.RFC3339))).accepted()
	before := b.commandEvents(t, transfer, got.ID)
	b.action(t, transfer, got.ID, "signal", "go").fails("conflict")
	b.action(t, transfer, got.ID, "signal", "retry-compensation").fails("conflict")
	require.Equal(t, before, b.commandEvents(t, transfer, got.ID), "nothing has changed")
	b.action(t, transfer, got.ID, "cancel").accepted()
}

func transfersALot(t *testing.T, b *bank) {
	const n, each = 5, 8
	var accounts []string
	for range n {
		accounts = append(accounts, b.account(t, 20, 0))
	}
	all := atOnce(n*each, func(i int) progress {
		return b.run(t, transfer, params{"from": accounts[i%n], "to": accounts[(i+1+i/n%(n-1))%n], "amount": 1 + i%7})
	})
	want, sum := map[string]int64{}, int64(0)
	for _, key := range accounts {
		want[key] = 20
	}
	for i, p := range all {
		if p.Status == "completed" {
			want[accounts[i%n]] -= int64(1 + i%7)
			want[accounts[(i+1+i/n%(n-1))%n]] += int64(1 + i%7)
			continue
		}
		require.Equal(t, []string{"failed", "insufficient-funds"}, []string{p.Status, p.Error.Reason})
	}
	for _, key := range accounts {
		require.Equal(t, want[key], b.balance(t, key))
		sum += want[key]
		r := b.verify(t, key)
		require.True(t, r.OK, "%+v", r)
	}
	require.EqualValues(t, n*20, sum)
}

func transfersInAContext(t *testing.T, b *bank) {
	from, to, command := b.account(t, 100, 0), b.account(t, 0, 0), unique("transfer")
	b.run(t, transfer, params{"from": from, "to": to, "amount": 1}, id(command),
		header("Correlation-Id", "nákup 7"), header("Causation-Id", "click/1"), header("X-Who", "Jana"))
	events := b.commandEvents(t, transfer, command)
	require.Equal(t, "click/1", events[0].Context.CausationID)
	paid, got := b.events(t, of(from, "events")), b.events(t, of(to, "events"))
	for _, e := range append(slices.Clone(events), paid[len(paid)-1], got[len(got)-1]) {
		require.Equal(t, []string{"nákup 7", "Jana", "http"}, []string{e.Context.CorrelationID, e.Context.Who, e.Context.Source}, e.Name)
	}
	for _, e := range []event{paid[len(paid)-1], got[len(got)-1]} {
		require.Equal(t, command, e.Context.CausationID)
		require.False(t, e.Context.At.Before(events[0].Context.At), "an effect is not before its cause")
	}
}

func transfersWithStrangeIDs(t *testing.T, b *bank) {
	from, to := b.account(t, 100, 0), b.account(t, 0, 0)
	var ids []string
	for _, sign := range []string{".", "..", "/", `\\`, "#?&", "||", "A", "~", "žluť 帳🙂", "_5f"} {
		ids = append(ids, sign+unique("strange")+sign)
	}
	long := unique("long") + strings.Repeat("x", 512)
	for _, n := range []int{180, 210, 390, 402, 512} { // engines take less of one than a command's id can have
		ids = append(ids, long[:n])
	}
	all := atOnce(len(ids), func(i int) progress {
		return b.run(t, transfer, params{"from": from, "to": to, "amount": 1}, id(ids[i]))
	})
	for i, p := range all {
		require.Equal(t, []string{ids[i], "completed"}, []string{p.ID, p.Status})
		require.Equal(t, p, b.progress(t, transfer, ids[i]))
	}
	require.EqualValues(t, 100-len(ids), b.balance(t, from))
}

// paysNoInterest is all of it that can be shown without waiting for midnight.
// (The rest is in app/bank.)
func paysNoInterest(t *testing.T, b *bank) {
	key, command := b.account(t, 100, 0), unique("pay")
	p := b.run(t, payInterest, params{"account": key}, id(command))
	require.Equal(t, "completed", p.Status)
	require.JSONEq(t, "0", string(p.Result))
	require.Equal(t, map[string]string{"look": "completed", "extend": "skipped", "pay": "completed"}, p.stepStatuses())
	require.Equal(t, []string{"account-opened", "money-deposited"}, names(b.events(t, of(key, "events"))))
	require.JSONEq(t, `{"status":"open","balance":100,"limit":0,"due":0}`, string(p.Steps[0].Result))
}

func paysInterestToNobody(t *testing.T, b *bank) {
	key := unique("never")
	p := b.run(t, payInterest, params{"account": key})
	require.Equal(t, []string{"failed", "account-not-open"}, []string{p.Status, p.Error.Reason})
	b.get(t, of(key, "events")).fails("not-found")
}

func listsTransfers(t *testing.T, b *bank) {
	from, to := b.account(t, 100, 0), b.account(t, 0, 0)
	for status, p := range map[string]progress{
		"completed":   b.run(t, transfer, params{"from": from, "to": to, "amount": 1}),
		"failed":      b.run(t, transfer, params{"from": from, "to": to, "amount": 1000}),
		"compensated": b.run(t, transfer, params{"from": from, "to": unique("never"), "amount": 1}),
	} {
		require.Equal(t, []progress{p}, b.listed(t, p.ID), status)
		require.Equal(t, []progress{p}, b.listed(t, p.ID, "command", transfer, "status", status))
		require.Empty(t, b.listed(t, p.ID, "command", payInterest))
		require.Empty(t, b.listed(t, p.ID, "status", "running"))
	}
}
