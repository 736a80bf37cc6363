package tests

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The commands of the bank that run on.
const (
	transfer     = "bank.transfer-money"
	payInterest  = "bank.pay-interest"
	accrueForAll = "bank.accrue-interest-for-all"
	payForAll    = "bank.pay-interest-for-all"
)

// items is how far a batch is.
type items struct {
	Total     int `json:"total"`
	Succeeded int `json:"succeeded"`
	Failed    int `json:"failed"`
	Pending   int `json:"pending"`
}

// accepted is the answer to a command that runs on.
type accepted struct {
	ID      string `json:"id"`
	Command string `json:"command"`
	Status  string `json:"status"`
}

// accepted reads a 202.
func (a answer) accepted() accepted {
	a.t.Helper()
	require.Equal(a.t, http.StatusAccepted, a.status, "%s: %s", a.call, a.body)
	require.Equal(a.t, "application/json", a.header.Get("Content-Type"))
	var got accepted
	a.decode(&got)
	require.Equal(a.t, path("commands", got.Command, got.ID), a.header.Get("Location"))
	return got
}

// ended reads the 200 of a command that was waited for.
func (a answer) ended() progress {
	a.t.Helper()
	var p progress
	a.into(&p)
	require.NotNil(a.t, p.EndedAt, "%s: %s", a.call, a.body)
	return p
}

// run runs a command to its end.
func (b *bank) run(t *testing.T, command string, parameters any, changes ...with) progress {
	t.Helper()
	return b.post(t, command, parameters, append(slices.Clone(changes), query("wait", "25s"))...).ended()
}

// awaitEnd waits until a command has ended.
func (b *bank) awaitEnd(t *testing.T, command, id string) (p progress) {
	t.Helper()
	b.awaitProgress(t, command, id, "has ended", func(now progress) bool {
		p = now
		return p.EndedAt != nil
	})
	return p
}

// awaitProgress waits until a command's progress is as it should be.
func (b *bank) awaitProgress(t *testing.T, command, id, what string, as func(progress) bool) {
	t.Helper()
	eventually(t, command+" "+id+" "+what, func() bool { return as(b.progress(t, command, id)) })
}

// action asks something of a command that runs.
func (b *bank) action(t *testing.T, command, id string, action ...string) answer {
	t.Helper()
	return b.do(t, http.MethodPost, path(append([]string{"commands", command, id}, action...)...), nil)
}

// stepStatuses are the statuses of a command's steps, by name.
func (p progress) stepStatuses() map[string]string {
	all := map[string]string{}
	for _, s := range p.Steps {
		all[s.Name] = s.Status
	}
	return all
}

// stepEvent is what the events about one step say.
type stepEvent struct {
	Step     string          `json:"step"`
	Undo     string          `json:"undo"`
	Entity   string          `json:"entity"`
	Key      string          `json:"key"`
	Sequence uint64          `json:"sequence"`
	Reason   string          `json:"reason"`
	Detail   string          `json:"detail"`
	Result   json.RawMessage `json:"result"`
	RetryAt  *time.Time      `json:"retryAt"`
}

func (e event) step(t *testing.T) stepEvent {
	t.Helper()
	var s stepEvent
	require.NoError(t, json.Unmarshal(e.Data, &s))
	return s
}

// commandEvents is the stream of a command.
func (b *bank) commandEvents(t *testing.T, command, id string) []event {
	t.Helper()
	return b.events(t, path("commands", command, id, "events"))
}

// listed finds a command in the list of commands that these parameters ask for.
func (b *bank) listed(t *testing.T, id string, pairs ...string) (found []progress) {
	t.Helper()
	for cursor := ""; ; {
		var page struct {
			Items []progress `json:"items"`
			Next  string     `json:"next"`
		}
		b.get(t, "/commands", query(append(slices.Clone(pairs), "cursor", cursor, "limit", "200")...)).into(&page)
		for _, p := range page.Items {
			if p.ID == id {
				found = append(found, p)
			}
		}
		if cursor = page.Next; cursor == "" {
			return found
		}
	}
}
