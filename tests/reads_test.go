package tests

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var readJourneys = []journey{
	{"an entity's stream is read page by page", readsAStream},
	{"a projection now", projectsNow},
	{"a projection as of a moment", projectsAsOf},
	{"a projection at a sequence", projectsAtASequence},
	{"a strong projection", projectsStrongly},
	{"a classification now and as of a moment", classifies},
	{"a stream is verified", verifies},
	{"the entities of a type are listed", listsEntities},
	{"what does not exist is not found", readsWhatIsNot},
}

func asOf(at time.Time) with { return query("asOf", at.Format(time.RFC3339Nano)) }

// history makes an account of three commits: opened with a limit (2 events), a
// deposit of 10, a withdrawal of 25.
func (b *bank) history(t *testing.T) (key string, events []event) {
	t.Helper()
	key = b.account(t, 10, 50)
	b.post(t, withdraw, params{"account": key, "amount": 25}).completed()
	events = b.events(t, of(key, "events"))
	require.Equal(t, []string{"account-opened", "overdraft-limit-set", "money-deposited", "money-withdrawn"}, names(events))
	return key, events
}

func readsAStream(t *testing.T, b *bank) {
	key, events := b.history(t)
	for i, e := range events {
		require.EqualValues(t, i+1, e.Sequence)
		require.Equal(t, 1, e.Version)
		require.NotEmpty(t, e.Context.Schema)
		require.NotEmpty(t, e.Commit.ID)
	}
	require.Equal(t, []uint64{1, 1, 2, 3}, []uint64{
		events[0].Commit.Number, events[1].Commit.Number, events[2].Commit.Number, events[3].Commit.Number,
	})
	require.Equal(t, events[0].Commit.ID, events[1].Commit.ID)
	require.NotEqual(t, events[1].Commit.ID, events[2].Commit.ID)

	type page struct {
		Items []event `json:"items"`
		Next  uint64  `json:"next"`
	}
	read := func(from, limit string) (p page) {
		b.get(t, of(key, "events"), query("from", from, "limit", limit)).into(&p)
		return p
	}
	require.Equal(t, page{events[:2], 3}, read("1", "2"))
	require.Equal(t, page{events[1:3], 4}, read("2", "2"))
	require.Equal(t, page{events[3:], 0}, read("4", "2"))
	require.Equal(t, page{[]event{}, 0}, read("5", "2"))
	b.get(t, of(key, "events"), query("from", "0")).invalid("from")
	b.get(t, of(key, "events"), query("from", "x", "limit", "1001")).invalid("from", "limit")
	b.get(t, of(key, "events"), query("follow", "maybe")).invalid("follow")
	b.get(t, of(key, "events"), query("form", "1")).invalid("form")
}

func projectsNow(t *testing.T, b *bank) {
	key, events := b.history(t)
	for projection, want := range map[string]string{"balance": "-15", "overdraft-limit": "50", "interest-due": "0"} {
		s := b.project(t, key, projection)
		require.JSONEq(t, want, string(s.State))
		require.EqualValues(t, 4, s.Sequence)
		require.Equal(t, events[3].Context.At, s.AsOf)
	}
	require.JSONEq(t, jsonText(t, []params{
		{"sequence": 3, "at": events[2].Context.At, "what": "money-deposited", "amount": 10, "balance": 10},
		{"sequence": 4, "at": events[3].Context.At, "what": "money-withdrawn", "amount": -25, "balance": -15},
	}), string(b.project(t, key, "statement").State))
}

func projectsAsOf(t *testing.T, b *bank) {
	key, events := b.history(t)
	tick := time.Microsecond
	for _, c := range []struct {
		at       time.Time
		balance  string
		sequence uint64
	}{
		{events[0].Context.At.Add(-tick), "0", 0},
		{events[0].Context.At, "0", 2},
		{events[2].Context.At.Add(-tick), "0", 2},
		{events[2].Context.At, "10", 3},
		{events[3].Context.At.Add(-tick), "10", 3},
		{events[3].Context.At, "-15", 4},
		{events[3].Context.At.Add(tick), "-15", 4},
		{time.Date(1993, 1, 1, 0, 0, 0, 0, time.UTC), "0", 0},
	} {
		s := b.project(t, key, "balance", asOf(c.at))
		require.JSONEq(t, c.balance, string(s.State))
		require.Equal(t, c.sequence, s.Sequence)
		require.True(t, c.at.Equal(s.AsOf))
	}
	elsewhere := events[2].Context.At.In(time.FixedZone("CET", 3600))
	require.EqualValues(t, 3, b.project(t, key, "balance", asOf(elsewhere)).Sequence)
	b.get(t, of(key, "projections", "balance"), asOf(time.Now().Add(time.Hour))).fails("invalid")
	b.get(t, of(key, "projections", "balance"), query("asOf", "2026-01-01")).invalid("asOf")
}

func projectsAtASequence(t *testing.T, b *bank) {
	key, _ := b.history(t)
	for sequence, want := range []string{"0", "0", "0", "10", "-15"} {
		s := b.project(t, key, "balance", query("sequence", strconv.Itoa(sequence)))
		require.JSONEq(t, want, string(s.State))
		require.EqualValues(t, sequence, s.Sequence)
	}
	b.get(t, of(key, "projections", "balance"), query("sequence", "-1")).invalid("sequence")
}

func projectsStrongly(t *testing.T, b *bank) {
	key, _ := b.history(t)
	require.JSONEq(t, "-15", string(b.project(t, key, "balance", query("consistency", "strong")).State))
	b.get(t, of(key, "projections", "balance"), query("consistency", "weak")).invalid("consistency")
}

func classifies(t *testing.T, b *bank) {
	key, events := b.history(t)
	verdict := func(classifier string, changes ...with) (result string, sequence uint64) {
		var v struct {
			Result   string `json:"result"`
			Sequence uint64 `json:"sequence"`
		}
		b.get(t, of(key, "classifications", classifier), changes...).into(&v)
		return v.Result, v.Sequence
	}
	for _, c := range []struct {
		classifier string
		with       with
		result     string
		sequence   uint64
	}{
		{"open", query(), "included", 4},
		{"overdrawn", query(), "included", 4},
		{"has-interest-due", query(), "excluded", 4},
		{"balance-below", query("threshold", "-14"), "included", 4},
		{"balance-below", query("threshold", "-15"), "excluded", 4},
		{"interest-accrued-on", query("day", "2026-01-01"), "excluded", 4},
		{"overdrawn", asOf(events[2].Context.At), "excluded", 3},
		{"open", asOf(events[0].Context.At), "included", 2},
	} {
		result, sequence := verdict(c.classifier, c.with)
		require.Equal(t, c.result, result, c.classifier)
		require.Equal(t, c.sequence, sequence, c.classifier)
	}
	_, sequence := verdict("open", asOf(events[0].Context.At.Add(-time.Microsecond)))
	require.Zero(t, sequence)

	b.get(t, of(key, "classifications", "balance-below")).invalid("threshold")
	b.get(t, of(key, "classifications", "balance-below"), query("threshold", "much")).invalid("threshold")
	b.get(t, of(key, "classifications", "open"), query("threshold", "1")).invalid("threshold")
	b.get(t, of(key, "classifications", "open"), asOf(time.Now().Add(time.Hour))).fails("invalid")
}

// report is what verifying a stream tells.
type report struct {
	OK      bool   `json:"ok"`
	Commits uint64 `json:"commits"`
	Events  uint64 `json:"events"`
	Head    uint64 `json:"head"`
	Problem string `json:"problem"`
}

func (b *bank) verify(t *testing.T, key string) report {
	t.Helper()
	var r report
	b.do(t, http.MethodPost, of(key, "verify"), nil).into(&r)
	return r
}

func verifies(t *testing.T, b *bank) {
	key, _ := b.history(t)
	r := b.verify(t, key)
	require.True(t, r.OK, r.Problem)
	require.EqualValues(t, 3, r.Commits)
	require.EqualValues(t, 3, r.Head)
	require.EqualValues(t, 4, r.Events)
}

func listsEntities(t *testing.T, b *bank) {
	mine := map[string]int{}
	for range 12 {
		mine[b.account(t, 0, 0)] = 0
	}
	for _, key := range b.keys(t, "7") {
		if _, ok := mine[key]; ok {
			mine[key]++
		}
	}
	for key, times := range mine {
		require.Equal(t, 1, times, key)
	}
	b.get(t, path("entities", accountType), query("limit", "0")).invalid("limit")
	b.get(t, path("entities", accountType), query("cursor", "nonsense")).invalid("cursor")
}

// keys lists all accounts, so many at a time.
func (b *bank) keys(t *testing.T, limit string) []string {
	t.Helper()
	var all []string
	for cursor := ""; ; {
		var page struct {
			Items []string `json:"items"`
			Next  string   `json:"next"`
		}
		b.get(t, path("entities", accountType), query("limit", limit, "cursor", cursor)).into(&page)
		all = append(all, page.Items...)
		if cursor = page.Next; cursor == "" {
			return all
		}
	}
}

func readsWhatIsNot(t *testing.T, b *bank) {
	key, never := b.account(t, 0, 0), unique("never")
	for _, p := range []string{
		of(never, "events"),
		of(never, "projections", "balance"),
		of(never, "classifications", "open"),
		of(key, "projections", "wealth"),
		of(key, "classifications", "rich"),
		path("entities", "bank.vault"),
		path("entities", "bank.vault", key, "events"),
		path("entities", "bank.vault", key, "projections", "balance"),
		path("entities", "bank.vault", key, "classifications", "open"),
		path("nonsense"),
		of(key),
	} {
		b.get(t, p).fails("not-found")
	}
	b.get(t, of(never, "events"), query("follow", "true")).fails("not-found")
	b.get(t, of(never, "projections", "balance"), query("sequence", "0")).fails("not-found")
	b.get(t, of(never, "projections", "balance"), asOf(time.Now().Add(-time.Minute))).fails("not-found")
	b.do(t, http.MethodPost, of(never, "verify"), nil).fails("not-found")
	b.do(t, http.MethodPost, path("entities", "bank.vault", key, "verify"), nil).fails("not-found")
	b.post(t, "bank.rob", params{"account": key}).fails("not-found")
	require.NotContains(t, b.keys(t, "1000"), never, "reading made an entity")
}
