package tests

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var groupJourneys = []journey{
	{"the open accounts, now and as of a moment", groupsOpenAccounts},
	{"the accounts with less than a threshold", groupsPoorAccounts},
	{"a group of keys with any characters, one at a time", groupsStrangeKeys},
	{"groups that are asked for wrongly", groupsWrongly},
}

// members lists a group, so many at a time. It is of all journeys' accounts.
func (b *bank) members(t *testing.T, classifier string, limit int, changes ...with) []string {
	t.Helper()
	var all []string
	for cursor := ""; ; {
		var page struct {
			Items []string `json:"items"`
			Next  string   `json:"next"`
		}
		at := append(slices.Clone(changes), query("limit", strconv.Itoa(limit), "cursor", cursor))
		b.get(t, path("groups", accountType, classifier, "members"), at...).into(&page)
		require.LessOrEqual(t, len(page.Items), limit)
		all = append(all, page.Items...)
		if cursor = page.Next; cursor == "" {
			seen := slices.Clone(all)
			slices.Sort(seen)
			require.Len(t, slices.Compact(seen), len(all), "each once")
			return all
		}
	}
}

// committed is when an account's last event was.
func (b *bank) committed(t *testing.T, key string) time.Time {
	t.Helper()
	events := b.events(t, of(key, "events"))
	return events[len(events)-1].Context.At
}

func groupsOpenAccounts(t *testing.T, b *bank) {
	open, closed := b.account(t, 1, 0), b.account(t, 0, 0)
	before := b.committed(t, closed)
	b.post(t, closeAccount, params{"account": closed}).completed()
	after := b.committed(t, closed)
	late := b.account(t, 0, 0)
	for range 2 { // and from what the replicas know by then
		members := b.members(t, "open", 1000)
		require.Subset(t, members, []string{open, late})
		require.NotContains(t, members, closed)

		members = b.members(t, "open", 100, asOf(before))
		require.Subset(t, members, []string{open, closed})
		require.NotContains(t, members, late)

		members = b.members(t, "open", 100, asOf(after))
		require.Contains(t, members, open)
		require.NotContains(t, members, closed)
		require.NotContains(t, members, late)

		require.Empty(t, b.members(t, "open", 100, asOf(time.Date(1993, 1, 1, 0, 0, 0, 0, time.UTC))))
	}
	b.post(t, withdraw, params{"account": open, "amount": 1}).completed()
	b.post(t, closeAccount, params{"account": open}).completed()
	require.NotContains(t, b.members(t, "open", 1000), open)
}

func groupsPoorAccounts(t *testing.T, b *bank) {
	poor, rich, overdrawn := b.account(t, 5, 0), b.account(t, 7, 0), b.account(t, 0, 100)
	b.post(t, withdraw, params{"account": overdrawn, "amount": 50}).completed()
	below := func(threshold string) []string {
		return b.members(t, "balance-below", 500, query("threshold", threshold))
	}
	require.Subset(t, below("8"), []string{poor, rich, overdrawn})
	six := below("6")
	require.Subset(t, six, []string{poor, overdrawn})
	require.NotContains(t, six, rich)
	less := below("-49")
	require.Contains(t, less, overdrawn)
	require.NotContains(t, less, poor)
	require.Contains(t, b.members(t, "overdrawn", 500), overdrawn)

	b.post(t, deposit, params{"account": overdrawn, "amount": 1000}).completed()
	require.NotContains(t, below("6"), overdrawn)
}

func groupsStrangeKeys(t *testing.T, b *bank) {
	mine := map[string]bool{}
	for _, sign := range []string{"/", `\`, "#", "?", "||", "..", "%2F", " ", "ž", "帳", "🙂", `"`, "A", "~", "_5f"} {
		key := sign + unique("strange") + sign
		b.post(t, openAccount, params{"account": key, "owner": "Jana"}).completed()
		b.post(t, deposit, params{"account": key, "amount": 1_000_000_007}).completed()
		b.post(t, setLimit, params{"account": key, "limit": 2_000_000_007}).completed()
		b.post(t, withdraw, params{"account": key, "amount": 3_000_000_007}).completed()
		mine[key] = true
	}
	listed := b.members(t, "balance-below", 1, query("threshold", "-1999999999"))
	require.Len(t, listed, len(mine))
	for _, key := range listed {
		require.True(t, mine[key], key)
	}
}

func groupsWrongly(t *testing.T, b *bank) {
	below := path("groups", accountType, "balance-below", "members")
	b.get(t, below).invalid("threshold")
	b.get(t, below, query("threshold", "much")).invalid("threshold")
	b.get(t, below, query("threshold", "1", "treshold", "2")).invalid("treshold")
	b.get(t, below, query("threshold", "1", "limit", "0")).invalid("limit")
	b.get(t, below, query("threshold", "1", "cursor", "nonsense")).invalid("cursor")
	b.get(t, below, query("threshold", "1"), asOf(time.Now().Add(time.Hour))).invalid("asOf")
	b.get(t, path("groups", accountType, "open", "members"), query("threshold", "1")).invalid("threshold")
	b.get(t, path("groups", accountType, "rich", "members")).fails("not-found")
	b.get(t, path("groups", "bank.vault", "open", "members")).fails("not-found")
	b.get(t, path("groups", accountType, "open")).fails("not-found")
}
