package tests

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/stretchr/testify/require"
)

// effect is an event of an entity that a command caused.
type effect struct {
	Key  string
	Name string
	Seq  uint64
}

// check compares what the commands tell with what the entities hold.
func (c *crowd) check() {
	c.t.Helper()
	c.awaitReady(c.t)
	effects, sum := c.effects()
	require.Equal(c.t, c.money, sum, "the sum of all balances")
	statuses := map[string]int{}
	var mu sync.Mutex
	inParallel(mapKeys(c.transfers), func(id string) {
		ask := c.transfers[id]
		status := c.checkCommand(transfer, id, ask["from"].(string), ask["to"].(string), effects[id],
			[3]string{"money-withdrawn", "money-deposited", "refunded"})
		mu.Lock()
		statuses[status]++
		mu.Unlock()
	})
	for _, status := range []string{"completed", "failed", "compensated"} {
		require.Positive(c.t, statuses[status], "transfers that are %s", status)
	}
	c.t.Logf("transfers: %v", statuses)
	interest := c.interest()
	for id, ask := range c.batches {
		c.checkInterest(id, interest[ask["day"].(string)])
	}
	for id, ask := range c.spreads {
		c.checkSpread(id, ask, effects)
	}
	for id := range effects {
		if _, known := c.transfers[id]; !known && !strings.HasPrefix(id, "spread-") {
			c.t.Errorf("nobody asked for %s: %+v", id, effects[id])
		}
	}
}

// effects reads every stream of accounts with money, and of shelves: what each
// command caused, and what money there is.
func (c *crowd) effects() (all map[string][]effect, sum int64) {
	all = map[string][]effect{}
	var mu sync.Mutex
	inParallel(append(slices.Clone(c.accounts), c.built...), func(key string) {
		entityType := shelfType
		if strings.HasPrefix(key, "rich-") {
			entityType = accountType
			balance := c.balance(c.t, key)
			mu.Lock()
			sum += balance
			mu.Unlock()
			if r := c.verify(c.t, key); !r.OK {
				c.t.Errorf("%s does not verify: %+v", key, r)
			}
		}
		for _, e := range c.events(c.t, path("entities", entityType, key, "events")) {
			if cause := e.Context.CausationID; cause != "" && e.Name != "interest-accrued" { // which is for checkInterest
				mu.Lock()
				all[cause] = append(all[cause], effect{key, e.Name, e.Sequence})
				mu.Unlock()
			}
		}
	})
	return all, sum
}

// checkCommand compares the stream of a command of two steps with its effects:
// something went out of one entity, came into another, or back into the first.
func (c *crowd) checkCommand(command, id, from, to string, effects []effect, named [3]string) string {
	p := c.progress(c.t, command, id)
	events := c.commandEvents(c.t, command, id)
	told, reports := []effect{}, 0
	key := map[string]string{}
	for i, e := range events {
		if e.Sequence != uint64(i+1) {
			c.t.Errorf("%s: event %d has sequence %d", id, i+1, e.Sequence)
		}
		s := e.step(c.t)
		switch e.Name {
		case "step-initiated":
			key[s.Step] = s.Key
		case "step-completed":
			told = append(told, effect{key[s.Step], named[reports], s.Sequence})
			reports++
		case "step-rejected", "step-settled":
			reports++
		case "compensation-completed":
			told = append(told, effect{s.Key, named[2], s.Sequence})
		}
	}
	want := map[string][]effect{"completed": {{from, named[0], 0}, {to, named[1], 0}}, "failed": {}, "compensated": {{from, named[0], 0}, {from, named[2], 0}}}[p.Status]
	same := len(want) == len(told)
	for i := range told {
		same = same && i < len(want) && told[i].Key == want[i].Key && told[i].Name == want[i].Name
	}
	if !same || events[0].Name != "created" || events[len(events)-1].Name != p.Status || p.EndedAt == nil {
		c.t.Errorf("%s is %s, and its stream tells of %+v in %v", id, p.Status, told, names(events))
	}
	sortEffects(told)
	sortEffects(effects)
	if !slices.Equal(told, effects) {
		c.t.Errorf("%s is %s and tells of %+v; the entities hold %+v", id, p.Status, told, effects)
	}
	return p.Status
}

func sortEffects(all []effect) {
	slices.SortFunc(all, func(x, y effect) int {
		return bytes.Compare(fmt.Append(nil, x.Key, x.Seq), fmt.Append(nil, y.Key, y.Seq))
	})
}

// interest is how often the interest of each day was accrued on each account.
func (c *crowd) interest() map[string]map[string]int {
	all := map[string]map[string]int{}
	var mu sync.Mutex
	inParallel(append(slices.Clone(c.accounts), c.idle...), func(key string) {
		for _, e := range c.events(c.t, of(key, "events")) {
			var data struct{ Day string }
			if e.Name != "interest-accrued" || json.Unmarshal(e.Data, &data) != nil {
				continue
			}
			mu.Lock()
			if all[data.Day] == nil {
				all[data.Day] = map[string]int{}
			}
			all[data.Day][key]++
			mu.Unlock()
		}
	})
	return all
}

// checkInterest compares what a batch tells with the accounts: on each the
// interest was accrued once, or it failed and there is none.
func (c *crowd) checkInterest(id string, accrued map[string]int) {
	c.t.Helper()
	p := c.progress(c.t, accrueForAll, id)
	status, failed := "completed", c.failures(c.t, id, 1000)
	if len(failed) > 0 {
		status = "completed-with-failures"
	}
	if p.Status != status || *p.Items != (items{Total: p.Items.Total, Succeeded: len(accrued), Failed: len(failed)}) || p.Items.Total != len(accrued)+len(failed) {
		c.t.Errorf("%s: %s, %+v, %d failures, and %d accounts that hold its interest", id, p.Status, p.Items, len(failed), len(accrued))
	}
	for _, f := range failed {
		if f.Reason != "account-not-open" || !c.closed[f.Key] || accrued[f.Key] > 0 {
			c.t.Errorf("%s failed on %+v, which holds its interest %d times", id, f, accrued[f.Key])
		}
	}
	for key, times := range accrued {
		if times != 1 {
			c.t.Errorf("%s was accrued %d times on %s", id, times, key)
		}
	}
	c.t.Logf("%s: %+v", id, *p.Items)
}

// checkSpread looks at each item of a batch of moves.
func (c *crowd) checkSpread(batch string, ask params, effects map[string][]effect) {
	c.t.Helper()
	p := c.progress(c.t, spread, batch)
	reasons := map[string]string{}
	for _, f := range c.failuresOf(c.t, spread, batch, 1000) {
		reasons[f.Key] = f.Reason
	}
	if p.Items.Total != len(c.built) || p.Items.Pending != 0 || p.Items.Failed != len(reasons) {
		c.t.Errorf("%s: %s, %+v, and %d failures", batch, p.Status, p.Items, len(reasons))
	}
	inParallel(c.built, func(key string) {
		var n int
		if _, err := fmt.Sscanf(key, "s-%d", &n); err != nil {
			c.t.Error(err)
		}
		to := fmt.Sprintf("s-%d", (n+ask["step"].(int))%shelves)
		id := batch + "/" + key
		status := c.checkCommand(move, id, key, to, effects[id], [3]string{"taken", "put", "put-back"})
		want := map[string]string{"completed": "", "failed": "not-enough", "compensated": "no-shelf"}[status]
		if reasons[key] != want {
			c.t.Errorf("%s is %s, and its batch says %q", id, status, reasons[key])
		}
	})
	c.t.Logf("%s: %+v", batch, *p.Items)
}
