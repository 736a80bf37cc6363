package tests

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var commandJourneys = []journey{
	{"a command is posted", postsACommand},
	{"a command without an id gets one", postsWithoutID},
	{"a command that comes again is answered again", repeatsACommand},
	{"a command that is sent many times at once counts once", racesOneID},
	{"a rejection is recorded", repeatsARejection},
	{"an id is of one command only", reusesAnID},
	{"a stated sequence must hold", statesASequence},
	{"of many that state one sequence one wins", racesOneSequence},
	{"of many that open one account one wins", racesOneAccount},
	{"who asked and why is in the events", asksInAContext},
	{"waiting for a direct command changes nothing", waitsForACommand},
	{"what is for long commands is refused", asksForADryRun},
	{"a command tells of its progress", readsProgress},
	{"progress as of an earlier moment", readsEarlierProgress},
	{"a command has its own stream", readsACommandStream},
	{"nothing can be done to a command that has ended", actsOnWhatEnded},
	{"commands are listed, newest first", listsCommands},
}

// postsACommand shows the answer to a command, and what it leaves behind.
func postsACommand(t *testing.T, b *bank) {
	key := b.account(t, 0, 0)
	command := unique("deposit")
	got := b.post(t, deposit, params{"account": key, "amount": 2540000}, id(command)).completed()
	require.Equal(t, done{
		ID: command, Command: deposit, Status: "completed",
		Entity: accountType, Key: key, Sequence: 2, Result: json.RawMessage("2540000"),
	}, got)
	require.Equal(t, int64(2540000), b.balance(t, key))
	require.Equal(t, []string{"account-opened", "money-deposited"}, names(b.events(t, of(key, "events"))))
}

func postsWithoutID(t *testing.T, b *bank) {
	key := b.account(t, 0, 0)
	first := b.post(t, deposit, params{"account": key, "amount": 1}).completed()
	second := b.post(t, deposit, params{"account": key, "amount": 1}).completed()
	require.NotEmpty(t, first.ID)
	require.NotEqual(t, first.ID, second.ID)
	require.Equal(t, int64(2), b.balance(t, key))
}

// repeatsACommand also writes the parameters in another way, and moves the
// account on before the repeat.
func repeatsACommand(t *testing.T, b *bank) {
	key, command := b.account(t, 0, 0), id(unique("deposit"))
	first := b.post(t, deposit, params{"account": key, "amount": 100, "purpose": "rent"}, command).completed()
	b.post(t, deposit, params{"account": key, "amount": 1}).completed()
	again := b.post(t, deposit, fmt.Sprintf(` {"purpose":"r\u0065nt","amount":1.0e2, "account":%q}`, key), command).completed()
	require.Equal(t, first, again)
	require.Equal(t, int64(101), b.balance(t, key))
}

func racesOneID(t *testing.T, b *bank) {
	key, command := b.account(t, 0, 0), id(unique("deposit"))
	answers := atOnce(16, func(int) answer {
		return b.post(t, deposit, params{"account": key, "amount": 7}, command)
	})
	for _, a := range answers {
		require.Equal(t, answers[0].completed(), a.completed())
	}
	require.Equal(t, int64(7), b.balance(t, key))
	require.Len(t, b.events(t, of(key, "events")), 2)
}

func repeatsARejection(t *testing.T, b *bank) {
	key, command := b.account(t, 0, 0), id(unique("withdraw"))
	b.post(t, withdraw, params{"account": key, "amount": 5}, command).rejected("insufficient-funds")
	b.post(t, deposit, params{"account": key, "amount": 5}).completed()
	b.post(t, withdraw, params{"account": key, "amount": 5}, command).rejected("insufficient-funds")
	require.Equal(t, int64(5), b.balance(t, key))
}

func reusesAnID(t *testing.T, b *bank) {
	key, other, command := b.account(t, 0, 0), b.account(t, 0, 0), id(unique("deposit"))
	b.post(t, deposit, params{"account": key, "amount": 10}, command).completed()
	b.post(t, deposit, params{"account": key, "amount": 11}, command).fails("conflict")
	b.post(t, deposit, params{"account": other, "amount": 10}, command).fails("conflict")
	b.post(t, withdraw, params{"account": key, "amount": 10}, command).fails("conflict")
	require.Equal(t, int64(10), b.balance(t, key))
	require.Equal(t, int64(0), b.balance(t, other))
}

func statesASequence(t *testing.T, b *bank) {
	key := b.account(t, 10, 0)
	b.post(t, deposit, params{"account": key, "amount": 1}, query("expectedSequence", "1")).fails("conflict")
	b.post(t, deposit, params{"account": key, "amount": 1}, query("expectedSequence", "3")).fails("conflict")
	b.post(t, deposit, params{"account": key, "amount": 1}, query("expectedSequence", "-1")).invalid("expectedSequence")
	got := b.post(t, deposit, params{"account": key, "amount": 1}, query("expectedSequence", "2")).completed()
	require.Equal(t, uint64(3), got.Sequence)

	fresh := unique("account")
	b.post(t, openAccount, params{"account": fresh, "owner": "Jana"}, query("expectedSequence", "1")).fails("conflict")
	b.post(t, openAccount, params{"account": fresh, "owner": "Jana"}, query("expectedSequence", "0")).completed()
}

func racesOneSequence(t *testing.T, b *bank) {
	key := b.account(t, 0, 0)
	b.oneWins(t, func(int) answer {
		return b.post(t, deposit, params{"account": key, "amount": 1}, query("expectedSequence", "1"))
	})
	require.Equal(t, int64(1), b.balance(t, key))
}

func racesOneAccount(t *testing.T, b *bank) {
	key := unique("account")
	b.oneWins(t, func(i int) answer {
		return b.post(t, openAccount, params{"account": key, "owner": fmt.Sprint("owner ", i)})
	})
	require.Len(t, b.events(t, of(key, "events")), 1)
}

// oneWins sends a command many times at once: one completes, the others
// conflict.
func (b *bank) oneWins(t *testing.T, send func(i int) answer) {
	t.Helper()
	answers := atOnce(16, send)
	won := 0
	for _, a := range answers {
		if a.status == http.StatusOK {
			won++
			continue
		}
		a.fails("conflict")
	}
	require.Equal(t, 1, won)
}

// atOnce calls f from many goroutines and returns what they got.
func atOnce[T any](n int, f func(i int) T) []T {
	results := make([]T, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { results[i] = f(i) })
	}
	group.Wait()
	return results
}

func asksInAContext(t *testing.T, b *bank) {
	key, command := b.account(t, 0, 0), unique("deposit")
	b.post(t, deposit, params{"account": key, "amount": 1}, id(command),
		header("Correlation-Id", "nákup 7"), header("Causation-Id", "click/1"), header("X-Who", "Jana")).completed()
	for _, stream := range []string{of(key, "events"), path("commands", deposit, command, "events")} {
		events := b.events(t, stream)
		context := events[len(events)-1].Context
		require.Equal(t, "nákup 7", context.CorrelationID)
		require.Equal(t, "click/1", context.CausationID)
		require.Equal(t, "Jana", context.Who)
		require.NotEmpty(t, context.Source)
		require.WithinDuration(t, time.Now(), context.At, time.Minute)
		require.Equal(t, time.UTC, context.At.Location())
	}
}

func waitsForACommand(t *testing.T, b *bank) {
	key := b.account(t, 0, 0)
	got := b.post(t, deposit, params{"account": key, "amount": 1}, query("wait", "10s")).completed()
	require.Equal(t, uint64(2), got.Sequence)
	b.post(t, deposit, params{"account": key, "amount": 1}, query("wait", "soon")).invalid("wait")
}

func asksForADryRun(t *testing.T, b *bank) {
	key := b.account(t, 0, 0)
	for _, name := range []string{"startAt", "dryRun", "ratePerSecond", "stopAfterFailures", "expectedsequence"} {
		b.post(t, deposit, params{"account": key, "amount": 1}, query(name, "1")).invalid(name)
	}
	require.Equal(t, int64(0), b.balance(t, key))
}

// progress is what a recorded command tells of itself.
type progress struct {
	ID         string          `json:"id"`
	Command    string          `json:"command"`
	Status     string          `json:"status"`
	CreatedAt  time.Time       `json:"createdAt"`
	EndedAt    *time.Time      `json:"endedAt"`
	Parameters json.RawMessage `json:"parameters"`
	Steps      []struct {
		Name        string          `json:"name"`
		Status      string          `json:"status"`
		StartedAt   *time.Time      `json:"startedAt"`
		CompletedAt *time.Time      `json:"completedAt"`
		Attempts    int             `json:"attempts"`
		Message     string          `json:"message"`
		Result      json.RawMessage `json:"result"`
	} `json:"steps"`
	Items  *items          `json:"items"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Code   string `json:"code"`
		Reason string `json:"reason"`
		Detail string `json:"detail"`
		Errors []struct {
			Field   string `json:"field"`
			Message string `json:"message"`
		} `json:"errors"`
	} `json:"error"`
}

func (b *bank) progress(t *testing.T, command, id string, changes ...with) progress {
	t.Helper()
	var p progress
	b.get(t, path("commands", command, id), changes...).into(&p)
	return p
}

func readsProgress(t *testing.T, b *bank) {
	key, command := b.account(t, 0, 0), unique("deposit")
	b.post(t, deposit, params{"account": key, "amount": 30}, id(command)).completed()
	p := b.progress(t, deposit, command)
	require.Equal(t, []string{command, deposit, "completed"}, []string{p.ID, p.Command, p.Status})
	require.JSONEq(t, jsonText(t, params{"account": key, "amount": 30}), string(p.Parameters))
	require.JSONEq(t, "30", string(p.Result))
	require.NotNil(t, p.EndedAt)
	require.False(t, p.EndedAt.Before(p.CreatedAt))
	require.Nil(t, p.Error)
	require.Len(t, p.Steps, 1)
	require.Equal(t, "completed", p.Steps[0].Status)
	require.Equal(t, 1, p.Steps[0].Attempts)
	require.JSONEq(t, "30", string(p.Steps[0].Result))

	no := unique("withdraw")
	b.post(t, withdraw, params{"account": key, "amount": 31}, id(no)).rejected("insufficient-funds")
	p = b.progress(t, withdraw, no)
	require.Equal(t, "rejected", p.Status)
	require.Equal(t, "rejected", p.Steps[0].Status)
	require.NotNil(t, p.EndedAt)
	require.Equal(t, "insufficient-funds", p.Error.Reason)

	b.get(t, path("commands", withdraw, command)).fails("not-found") // the id is of another command
	b.get(t, path("commands", deposit, unique("never"))).fails("not-found")
	b.get(t, path("commands", "bank.rob", command)).fails("not-found")
}

func readsEarlierProgress(t *testing.T, b *bank) {
	key, command := b.account(t, 0, 0), unique("deposit")
	b.post(t, deposit, params{"account": key, "amount": 30}, id(command)).completed()
	now := b.progress(t, deposit, command)
	require.Equal(t, now, b.progress(t, deposit, command, asOf(now.CreatedAt)))
	b.get(t, path("commands", deposit, command), asOf(now.CreatedAt.Add(-time.Microsecond))).fails("not-found")
	b.get(t, path("commands", deposit, command), asOf(time.Now().Add(time.Hour))).fails("invalid")
	b.get(t, path("commands", deposit, command), query("asOf", "yesterday")).invalid("asOf")
}

func readsACommandStream(t *testing.T, b *bank) {
	key, command := b.account(t, 0, 0), unique("deposit")
	b.post(t, deposit, params{"account": key, "amount": 30}, id(command)).completed()
	stream := path("commands", deposit, command, "events")
	events := b.events(t, stream)
	require.Equal(t, "created", events[0].Name)
	require.Equal(t, "completed", events[len(events)-1].Name)
	for i, e := range events {
		require.EqualValues(t, i+1, e.Sequence)
	}

	var page struct {
		Items []event `json:"items"`
		Next  uint64  `json:"next"`
	}
	b.get(t, stream, query("from", "2", "limit", "1")).into(&page)
	require.Equal(t, events[1:2], page.Items)
	require.EqualValues(t, 3, page.Next)
	b.get(t, path("commands", withdraw, command, "events")).fails("not-found")
	b.get(t, path("commands", deposit, unique("never"), "events")).fails("not-found")
}

func actsOnWhatEnded(t *testing.T, b *bank) {
	key, command := b.account(t, 0, 0), unique("deposit")
	b.post(t, deposit, params{"account": key, "amount": 1}, id(command)).completed()
	for _, action := range [][]string{{"cancel"}, {"pause"}, {"resume"}, {"retry-failed"}, {"signal", "go"}} {
		b.do(t, http.MethodPost, path(append([]string{"commands", deposit, command}, action...)...), nil).fails("conflict")
		b.do(t, http.MethodPost, path(append([]string{"commands", deposit, unique("never")}, action...)...), nil).fails("not-found")
	}
}

// listsCommands finds its commands among those of everybody else.
func listsCommands(t *testing.T, b *bank) {
	key := b.account(t, 3, 0)
	var completed, rejected []string // newest first
	for range 3 {
		yes, no := unique("yes"), unique("no")
		b.post(t, withdraw, params{"account": key, "amount": 1}, id(yes)).completed()
		b.post(t, withdraw, params{"account": key, "amount": 10}, id(no)).rejected("insufficient-funds")
		completed, rejected = slices.Insert(completed, 0, yes), slices.Insert(rejected, 0, no)
	}
	ids := func(pairs ...string) []string {
		var found []string
		for cursor := ""; ; {
			var page struct {
				Items []progress `json:"items"`
				Next  string     `json:"next"`
			}
			b.get(t, "/commands", query(append(pairs, "cursor", cursor, "limit", "50")...)).into(&page)
			require.LessOrEqual(t, len(page.Items), 50)
			for _, p := range page.Items {
				if slices.Contains(completed, p.ID) || slices.Contains(rejected, p.ID) {
					require.Equal(t, withdraw, p.Command)
					found = append(found, p.ID)
				}
			}
			if cursor = page.Next; cursor == "" {
				return found
			}
		}
	}
	var all []string
	for i := range completed {
		all = append(all, rejected[i], completed[i])
	}
	require.Equal(t, all, ids())
	require.Equal(t, all, ids("command", withdraw))
	require.Equal(t, completed, ids("command", withdraw, "status", "completed"))
	require.Equal(t, rejected, ids("status", "rejected"))
	require.Empty(t, ids("command", deposit))
	require.Empty(t, ids("status", "running"))

	b.get(t, "/commands", query("command", "bank.rob")).fails("not-found")
	b.get(t, "/commands", query("status", "done")).invalid("status")
	b.get(t, "/commands", query("limit", "1001")).invalid("limit")
	b.get(t, "/commands", query("limit", "0")).invalid("limit")
	b.get(t, "/commands", query("cursor", "nonsense")).invalid("cursor")
}
