package tests

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// batchJourneys run over all accounts of a bank, so they are taken one after
// another, and alone. Each has a day of its own.
var batchJourneys = []journey{
	{"interest is accrued for all", accruesForAll}, // these two on every way
	{"a batch is published", publishesABatch},

	{"a batch over nobody", paysForNobody},
	{"a batch is slowed down and paused, and goes on", pausesABatch},
	{"a batch that comes again", repeatsABatch},
	{"batches that are not valid", refusesBatches},
	{"a dry run changes nothing", accruesDry},
	{"a batch is cancelled", cancelsABatch},
	{"a batch starts later", startsABatchLater},
}

// day is the parameters of an accrual.
func day(n int) params { return params{"day": fmt.Sprintf("1993-02-%02d", n)} }

// accrued are the accounts whose interest of a day was accrued.
func (b *bank) accrued(t *testing.T, day params) []string {
	t.Helper()
	return b.members(t, "interest-accrued-on", 1000, query("day", day["day"].(string)))
}

func sorted(keys []string) []string { return slices.Sorted(slices.Values(keys)) }

func accruesForAll(t *testing.T, b *bank) {
	closed, command := b.account(t, 0, 0), unique("accrue")
	b.post(t, closeAccount, params{"account": closed}).completed()
	done := b.account(t, 0, 0) // that day was done already
	b.post(t, accrueInterest, params{"account": done, "day": day(1)["day"]}).completed()
	open := b.members(t, "open", 1000)

	p := b.run(t, accrueForAll, day(1), id(command))
	n := len(open)
	require.Equal(t, []string{command, accrueForAll, "completed"}, []string{p.ID, p.Command, p.Status})
	require.Equal(t, &items{Total: n, Succeeded: n}, p.Items)
	require.JSONEq(t, jsonText(t, items{Total: n, Succeeded: n}), string(p.Result))
	require.Empty(t, p.Steps)
	require.Equal(t, p, b.progress(t, accrueForAll, command))
	require.Equal(t, sorted(open), sorted(b.accrued(t, day(1))))
	b.accruedOnce(t, open, day(1))
	require.Empty(t, b.failures(t, command, 10))

	events := b.commandEvents(t, accrueForAll, command)
	require.Equal(t, []string{"created", "parameters-set", "validated", "group-fixed"}, names(events)[:4])
	require.Equal(t, "completed", events[len(events)-1].Name)
	for _, key := range open[:min(10, n)] {
		if key == done {
			continue
		}
		its := b.events(t, of(key, "events"))
		last := its[len(its)-1]
		require.Equal(t, "interest-accrued", last.Name)
		require.Equal(t, command, last.Context.CausationID)
	}
	// Before the group was found the batch was over nobody.
	require.Nil(t, b.progress(t, accrueForAll, command, asOf(events[0].Context.At)).EndedAt)
	before := b.progress(t, accrueForAll, command, asOf(events[len(events)-1].Context.At.Add(-time.Microsecond)))
	require.Nil(t, before.EndedAt)
	require.Equal(t, n, before.Items.Total)
}

// accruedOnce finds a day's interest in every one of these streams exactly once.
func (b *bank) accruedOnce(t *testing.T, keys []string, day params) {
	t.Helper()
	inParallel(keys, func(key string) {
		n := 0
		for _, e := range b.events(t, of(key, "events")) {
			var data struct{ Day string }
			if e.Name == "interest-accrued" && json.Unmarshal(e.Data, &data) == nil && data.Day == day["day"] {
				n++
			}
		}
		if n != 1 {
			t.Errorf("the interest of %v was accrued %d times on %s", day["day"], n, key)
		}
	})
}

// itemFailure is a failed item as it is listed.
type itemFailure struct {
	Key      string `json:"key"`
	Reason   string `json:"reason"`
	Detail   string `json:"detail"`
	Attempts int    `json:"attempts"`
}

// failures lists the failed items of an accrual, so many at a time.
func (b *bank) failures(t *testing.T, batch string, limit int) []itemFailure {
	t.Helper()
	return b.failuresOf(t, accrueForAll, batch, limit)
}

func (b *bank) failuresOf(t *testing.T, command, batch string, limit int) (all []itemFailure) {
	t.Helper()
	for cursor := ""; ; {
		var page struct {
			Items []itemFailure `json:"items"`
			Next  string        `json:"next"`
		}
		b.get(t, path("commands", command, batch, "failures"), query("limit", fmt.Sprint(limit), "cursor", cursor)).into(&page)
		require.LessOrEqual(t, len(page.Items), limit)
		all = append(all, page.Items...)
		if cursor = page.Next; cursor == "" {
			return all
		}
	}
}

// paysForNobody has nobody to pay: interest is only due after midnight.
func paysForNobody(t *testing.T, b *bank) {
	p := b.run(t, payForAll, params{})
	require.Equal(t, "completed", p.Status)
	require.Equal(t, &items{}, p.Items)
	require.JSONEq(t, `{"total":0,"succeeded":0,"failed":0,"pending":0}`, string(p.Result))
}

func repeatsABatch(t *testing.T, b *bank) {
	command, n := unique("accrue"), len(b.members(t, "open", 1000))
	answers := atOnce(8, func(int) answer { return b.post(t, accrueForAll, day(2), id(command), query("wait", "25s")) })
	for _, a := range answers {
		p := a.ended()
		require.Equal(t, "completed", p.Status)
		require.Equal(t, n, p.Items.Succeeded)
	}
	events := b.commandEvents(t, accrueForAll, command)
	late := b.account(t, 0, 0)
	again := b.run(t, accrueForAll, day(2), id(command))
	require.Equal(t, n, again.Items.Total, "it does not run again")
	b.post(t, accrueForAll, day(3), id(command)).fails("conflict")
	b.post(t, accrueForAll, day(2), id(command), query("dryRun", "true")).fails("conflict")
	b.post(t, accrueForAll, day(2), id(command), query("ratePerSecond", "5")).fails("conflict")
	require.Equal(t, events, b.commandEvents(t, accrueForAll, command))
	require.False(t, slices.Contains(b.accrued(t, day(2)), late))

	once := b.run(t, accrueForAll, day(2)) // another batch, of which all but one are done
	require.Equal(t, &items{Total: n + 1, Succeeded: n + 1}, once.Items)
	b.accruedOnce(t, b.members(t, "open", 1000), day(2))
}

func refusesBatches(t *testing.T, b *bank) {
	command := unique("accrue")
	future := time.Now().UTC().AddDate(0, 0, 2).Format(time.DateOnly)
	b.post(t, accrueForAll, params{"day": "1993-02-29"}, id(command)).invalid("day")
	b.post(t, accrueForAll, params{}, id(command)).invalid("day")
	b.post(t, accrueForAll, day(4), id(command), query("ratePerSecond", "0")).invalid("ratePerSecond")
	b.post(t, accrueForAll, day(4), id(command), query("stopAfterFailures", "0")).invalid("stopAfterFailures")
	b.post(t, accrueForAll, day(4), id(command), query("dryRun", "perhaps")).invalid("dryRun")
	b.post(t, accrueForAll, day(4), id(command), query("expectedSequence", "1")).invalid("expectedSequence")
	b.get(t, path("commands", accrueForAll, command)).fails("not-found")
	b.get(t, path("commands", accrueForAll, command, "failures")).fails("not-found")

	p := b.run(t, accrueForAll, params{"day": future}, id(command)) // which only each item can judge
	n := len(b.members(t, "open", 1000))
	require.Equal(t, "completed-with-failures", p.Status)
	require.Equal(t, &items{Total: n, Failed: n}, p.Items)
	failed := b.failures(t, command, max(1, n/3))
	require.Len(t, failed, n)
	for _, f := range failed {
		require.Equal(t, "invalid", f.Reason)
		require.Equal(t, 1, f.Attempts)
	}
	b.get(t, path("commands", accrueForAll, command, "failures"), query("cursor", "nonsense")).invalid("cursor")

	stopped := b.run(t, accrueForAll, params{"day": future}, query("stopAfterFailures", "1"))
	require.Equal(t, []string{"completed-with-failures", "stopped-after-failures"}, []string{stopped.Status, stopped.Error.Reason})
	require.Positive(t, stopped.Items.Failed)
	require.Equal(t, n, stopped.Items.Failed+stopped.Items.Pending)
	b.action(t, accrueForAll, stopped.ID, "retry-failed").accepted()
	again := b.awaitEnd(t, accrueForAll, stopped.ID)
	require.Equal(t, n, again.Items.Failed+again.Items.Pending, "what did not run is repeated as well")
}

func accruesDry(t *testing.T, b *bank) {
	n := len(b.members(t, "open", 1000))
	p := b.run(t, accrueForAll, day(5), query("dryRun", "true"))
	require.Equal(t, "completed", p.Status)
	require.Equal(t, &items{Total: n, Succeeded: n}, p.Items)
	require.Empty(t, b.accrued(t, day(5)))
	require.Equal(t, "completed", b.run(t, accrueForAll, day(5)).Status)
	require.Len(t, b.accrued(t, day(5)), n)
}

// pausesABatch closes accounts of which a paused batch has not thought yet, and
// opens one that is too late.
func pausesABatch(t *testing.T, b *bank) {
	const lasts = 4.0
	mine := atOnce(60, func(int) string { return b.account(t, 0, 0) })
	open := b.members(t, "open", 1000)
	n, began := len(open), time.Now()
	rate := fmt.Sprintf("%f", float64(n)/lasts)
	got := b.post(t, accrueForAll, day(6), query("ratePerSecond", rate)).accepted()
	b.awaitProgress(t, accrueForAll, got.ID, "is at work", func(p progress) bool { return p.Items != nil && p.Items.Succeeded > 0 })
	require.Len(t, b.listed(t, got.ID, "status", "running"), 1)
	require.Equal(t, "paused", b.action(t, accrueForAll, got.ID, "pause").accepted().Status)
	require.Equal(t, "paused", b.action(t, accrueForAll, got.ID, "pause").accepted().Status)
	require.Len(t, b.listed(t, got.ID, "status", "paused"), 1)

	late := b.account(t, 0, 0)
	var paused progress
	b.awaitProgress(t, accrueForAll, got.ID, "rests", func(p progress) bool {
		paused = p
		return p.Items.Succeeded == len(b.accrued(t, day(6)))
	})
	require.Equal(t, n, paused.Items.Total)
	require.Positive(t, paused.Items.Pending)
	var left []string
	done := b.accrued(t, day(6))
	for _, key := range mine {
		if !slices.Contains(done, key) && len(left) < 5 {
			b.post(t, closeAccount, params{"account": key}).completed()
			left = append(left, key)
		}
	}
	require.NotEmpty(t, left)
	require.Equal(t, paused, b.progress(t, accrueForAll, got.ID), "nothing begins while it is paused")

	require.Equal(t, "running", b.action(t, accrueForAll, got.ID, "resume").accepted().Status)
	p := b.awaitEnd(t, accrueForAll, got.ID)
	require.Greater(t, time.Since(began).Seconds(), lasts*0.9)
	require.Equal(t, "completed-with-failures", p.Status)
	require.Equal(t, &items{Total: n, Succeeded: n - len(left), Failed: len(left)}, p.Items)
	require.False(t, slices.Contains(b.accrued(t, day(6)), late), "who joins later is no member")
	var failed []string
	for _, f := range b.failures(t, got.ID, 2) {
		require.Equal(t, "account-not-open", f.Reason)
		require.NotEmpty(t, f.Detail)
		failed = append(failed, f.Key)
	}
	require.Equal(t, sorted(left), sorted(failed))
	b.action(t, accrueForAll, got.ID, "pause").fails("conflict")
	b.action(t, accrueForAll, got.ID, "resume").fails("conflict")
	b.action(t, accrueForAll, got.ID, "cancel").fails("conflict")

	require.Equal(t, "running", b.action(t, accrueForAll, got.ID, "retry-failed").accepted().Status)
	b.awaitEnd(t, accrueForAll, got.ID)
	p = b.progress(t, accrueForAll, got.ID)
	require.Equal(t, &items{Total: n, Succeeded: n - len(left), Failed: len(left)}, p.Items)
	require.Len(t, b.failures(t, got.ID, 100), len(left))
	b.accruedOnce(t, done, day(6))
}

func cancelsABatch(t *testing.T, b *bank) {
	n := len(b.members(t, "open", 1000))
	got := b.post(t, accrueForAll, day(7), query("ratePerSecond", fmt.Sprintf("%f", float64(n)/15))).accepted()
	b.awaitProgress(t, accrueForAll, got.ID, "is at work", func(p progress) bool { return p.Items != nil && p.Items.Succeeded > 0 })
	b.action(t, accrueForAll, got.ID, "cancel").accepted()
	p := b.awaitEnd(t, accrueForAll, got.ID)
	require.Equal(t, "cancelled", p.Status)
	require.Equal(t, n, p.Items.Total)
	require.Positive(t, p.Items.Pending)
	require.Len(t, b.accrued(t, day(7)), p.Items.Succeeded)
	b.action(t, accrueForAll, got.ID, "cancel").fails("conflict")
	b.action(t, accrueForAll, got.ID, "retry-failed").fails("conflict")
	require.Equal(t, p, b.progress(t, accrueForAll, got.ID))
}

func startsABatchLater(t *testing.T, b *bank) {
	start := time.Now().Add(1 * time.Second).UTC()
	got := b.post(t, accrueForAll, day(8), query("startAt", start.Format(time.RFC3339Nano))).accepted()
	require.Equal(t, "scheduled", got.Status)
	b.action(t, accrueForAll, got.ID, "pause").fails("conflict")
	key := b.account(t, 0, 0) // who is a member is found when it starts
	p := b.awaitEnd(t, accrueForAll, got.ID)
	require.Equal(t, "completed", p.Status)
	require.True(t, slices.Contains(b.accrued(t, day(8)), key), "who was opened before it started is a member")
}

func publishesABatch(t *testing.T, b *bank) {
	n, command := len(b.members(t, "open", 1000)), unique("accrue")
	m := message(t, accrueForAll, command, day(9), "options", params{"ratePerSecond": float64(n), "stopAfterFailures": 3})
	atOnce(5, func(int) error { b.publish(t, m); return nil })
	p := b.arrives(t, accrueForAll, command)
	require.Equal(t, "completed", p.Status)
	require.Equal(t, &items{Total: n, Succeeded: n}, p.Items)
	require.Equal(t, 1, occurrences(names(b.commandEvents(t, accrueForAll, command)), "members-sealed"))
}
