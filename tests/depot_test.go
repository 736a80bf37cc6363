package tests

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/tests/servers"
)

// The commands of the depot (tests/depot).
const (
	shelfType  = "depot.shelf"
	buildShelf = "depot.build"
	fillShelf  = "depot.fill"
	move       = "depot.move"
	spread     = "depot.spread"
	orderGoods = "depot.order"
)

// depot is a running depot, and the world outside of it.
type depot struct {
	*bank
	world string // a folder
}

func startDepot(t *testing.T, o servers.StackOptions) *depot {
	t.Helper()
	d := &depot{world: t.TempDir()}
	o.Env = append(o.Env, "DEPOT_WORLD="+d.world)
	d.bank = startApp(t, buildDepot, o)
	return d
}

// TestDepot takes commands with every kind of step through their lives, on both
// engines.
func TestDepot(t *testing.T) {
	for name, stack := range map[string]func(*testing.T) servers.StackOptions{
		"Dapr's engine":   fixed(servers.StackOptions{}),
		"embedded engine": onEmbedded,
		"three replicas":  fixed(servers.StackOptions{Replicas: 3}),
	} {
		t.Run(name, func(t *testing.T) {
			d := startDepot(t, stack(t))
			t.Run("orders", func(t *testing.T) {
				for name, run := range map[string]func(*testing.T, *depot){
					"an order waits for its customer":             handsOut,
					"a signal that comes early is used":           signalsEarly,
					"a customer who does not come":                timesOut,
					"an order is cancelled while it waits":        cancelsAnOrder,
					"a customer without credit":                   refusesCredit,
					"an effect that fails is tried, and given up": givesUp,
					"an undoing that fails is left to people":     failsToUndo,
					"an order for more than there is":             asksForTooMuch,
				} {
					t.Run(name, func(t *testing.T) {
						t.Parallel()
						run(t, d)
					})
				}
			})
			t.Run("a batch of moves, and what failed once more", func(t *testing.T) { spreads(t, d) })
		})
	}
}

// shelf builds a shelf with crates on it.
func (d *depot) shelf(t *testing.T, key string, crates int) string {
	t.Helper()
	d.post(t, buildShelf, params{"shelf": key, "crates": crates}).completed()
	return key
}

func (d *depot) crates(t *testing.T, key string) int {
	t.Helper()
	var s state
	d.get(t, path("entities", shelfType, key, "projections", "crates")).into(&s)
	var n int
	require.NoError(t, json.Unmarshal(s.State, &n))
	return n
}

// noted is what the world was told about a command, and how often.
func (d *depot) noted(t *testing.T, what, command string) (n int) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(d.world, what))
	if !os.IsNotExist(err) {
		require.NoError(t, err)
	}
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, command+"/") {
			n++
		}
	}
	return n
}

// order places an order for three of ten crates, and waits until it waits.
func (d *depot) order(t *testing.T, more params) (shelf, id string) {
	t.Helper()
	shelf, id = d.placeOrder(t, more)
	d.awaitProgress(t, orderGoods, id, "waits", func(p progress) bool { return p.Status == "waiting" })
	return shelf, id
}

func (d *depot) placeOrder(t *testing.T, more params, changes ...with) (shelf, command string) {
	t.Helper()
	shelf, command = d.shelf(t, unique("shelf"), 10), unique("order")
	ask := params{"shelf": shelf, "crates": 3, "way": "post"}
	for name, value := range more {
		ask[name] = value
	}
	d.post(t, orderGoods, ask, append(changes, id(command))...).accepted()
	return shelf, command
}

func (d *depot) signal(t *testing.T, id, name string, payload any) answer {
	t.Helper()
	return d.do(t, "POST", path("commands", orderGoods, id, "signal", name), payload)
}

func handsOut(t *testing.T, d *depot) {
	shelf, id := d.order(t, nil)
	p := d.progress(t, orderGoods, id)
	require.Equal(t, map[string]string{
		"look": "completed", "reserve": "completed", "pay": "completed", "wait": "waiting", "way": "pending", "pack": "pending", "hand-out": "pending",
	}, p.stepStatuses())
	require.Len(t, d.listed(t, id, "status", "waiting"), 1)
	before := d.commandEvents(t, orderGoods, id)
	d.signal(t, id, "go", params{}).fails("conflict")
	d.signal(t, id, "approved", params{"by": 7}).fails("invalid")
	d.signal(t, id, "approved", nil).fails("invalid")
	require.Equal(t, before, d.commandEvents(t, orderGoods, id), "nothing has changed")

	d.signal(t, id, "approved", params{"by": "Jana"}).accepted()
	p = d.awaitEnd(t, orderGoods, id)
	require.Equal(t, "completed", p.Status)
	require.JSONEq(t, `"to Jana"`, string(p.Result))
	require.JSONEq(t, `{"stands":true,"crates":10}`, string(p.Steps[0].Result))
	require.JSONEq(t, `{"signal":{"by":"Jana"}}`, string(p.Steps[3].Result))
	require.JSONEq(t, `"post"`, string(p.Steps[4].Result))
	packed := p.Steps[5].CompletedAt.Sub(*p.Steps[5].StartedAt)
	require.GreaterOrEqual(t, packed, 300*time.Millisecond)
	require.Equal(t, []int{1, 1, 0}, []int{d.noted(t, "paid", id), d.noted(t, "handed-out", id), d.noted(t, "paid-back", id)})
	require.Equal(t, 7, d.crates(t, shelf))
	d.signal(t, id, "approved", params{"by": "Petr"}).fails("conflict")
}

func signalsEarly(t *testing.T, d *depot) {
	_, command := d.placeOrder(t, params{"way": "pickup"}, query("startAt", time.Now().Add(2*time.Second).UTC().Format(time.RFC3339Nano)))
	require.Equal(t, "scheduled", d.signal(t, command, "approved", params{"by": "Jana"}).accepted().Status)
	d.signal(t, command, "approved", params{"by": "Petr"}).fails("conflict")
	p := d.awaitEnd(t, orderGoods, command)
	require.Equal(t, "completed", p.Status)
	require.JSONEq(t, `"to Jana"`, string(p.Result))
	require.Equal(t, "skipped", p.stepStatuses()["pack"])
}

// undone is an order that came to nothing.
func (d *depot) undone(t *testing.T, p progress, shelf string, paidBack int) {
	t.Helper()
	require.Equal(t, 10, d.crates(t, shelf))
	require.Equal(t, paidBack, d.noted(t, "paid-back", p.ID))
	require.Equal(t, "compensated", p.stepStatuses()["reserve"])
}

func timesOut(t *testing.T, d *depot) {
	shelf, command := d.placeOrder(t, params{"within": "500ms"})
	p := d.awaitEnd(t, orderGoods, command)
	require.Equal(t, []string{"compensated", "timed-out"}, []string{p.Status, p.Error.Reason})
	d.undone(t, p, shelf, 1)
	require.Equal(t, []string{"rejected", "pending"}, []string{p.stepStatuses()["wait"], p.stepStatuses()["hand-out"]})
}

func cancelsAnOrder(t *testing.T, d *depot) {
	shelf, command := d.order(t, nil)
	d.action(t, orderGoods, command, "cancel").accepted()
	p := d.awaitEnd(t, orderGoods, command)
	require.Equal(t, "cancelled", p.Status)
	d.undone(t, p, shelf, 1)
	d.signal(t, command, "approved", params{"by": "Jana"}).fails("conflict")
}

func refusesCredit(t *testing.T, d *depot) {
	shelf, command := d.placeOrder(t, params{"fails": "pay"})
	p := d.awaitEnd(t, orderGoods, command)
	require.Equal(t, []string{"compensated", "no-credit"}, []string{p.Status, p.Error.Reason})
	d.undone(t, p, shelf, 0)
	require.Equal(t, 1, d.noted(t, "paid", command), "a no is final")
}

func givesUp(t *testing.T, d *depot) {
	shelf, command := d.order(t, params{"fails": "hand-out"})
	d.signal(t, command, "approved", params{"by": "Jana"}).accepted()
	p := d.awaitEnd(t, orderGoods, command)
	require.Equal(t, []string{"compensated", "unavailable"}, []string{p.Status, p.Error.Code})
	require.Contains(t, p.Error.Detail, "nobody is there")
	require.Equal(t, "failed", p.stepStatuses()["hand-out"])
	require.Equal(t, 3, p.Steps[6].Attempts)
	require.GreaterOrEqual(t, d.noted(t, "handed-out", command), 3)
	d.undone(t, p, shelf, 1)
}

func failsToUndo(t *testing.T, d *depot) {
	shelf, command := d.order(t, params{"fails": "pay-back"})
	d.signal(t, command, "retry-compensation", nil).fails("conflict")
	d.action(t, orderGoods, command, "cancel").accepted()
	fails := func() progress {
		var p progress
		d.awaitProgress(t, orderGoods, command, "is left to people", func(now progress) bool {
			p = now
			return p.Status == "compensation-failed"
		})
		return p
	}
	p := fails()
	require.Nil(t, p.EndedAt)
	require.Contains(t, p.Error.Detail, "[pay reserve]", "what is still to be undone")
	require.Len(t, d.listed(t, command, "status", "compensation-failed"), 1)
	require.Equal(t, 7, d.crates(t, shelf))
	require.Equal(t, 3, d.noted(t, "paid-back", command))

	d.signal(t, command, "retry-compensation", nil).accepted()
	eventually(t, "it was tried again", func() bool { return d.noted(t, "paid-back", command) == 6 })
	fails()
	require.NoError(t, os.WriteFile(filepath.Join(d.world, "mended-"+command), nil, 0o644))
	d.signal(t, command, "retry-compensation", nil).accepted()
	p = d.awaitEnd(t, orderGoods, command)
	require.Equal(t, "cancelled", p.Status)
	d.undone(t, p, shelf, 7)
}

func asksForTooMuch(t *testing.T, d *depot) {
	shelf, command := d.placeOrder(t, params{"crates": 11})
	p := d.awaitEnd(t, orderGoods, command)
	require.Equal(t, []string{"failed", "not-enough"}, []string{p.Status, p.Error.Reason})
	require.Equal(t, 10, d.crates(t, shelf))
	require.Zero(t, d.noted(t, "paid", command))
}

// spreads has shelves pass crates on. Some shelves are empty, and some that should
// get crates were never built. It is alone: a batch goes over all shelves.
func spreads(t *testing.T, d *depot) {
	const of = 40
	before, name := d.groupOf(t, shelfType, "standing"), "s"+unique("")[1:9]
	require.NotEmpty(t, before, "of the orders, whose names have no numbers: their items fail")
	var built, empty, orphans []string // orphans pass on to nobody
	for i := range of {
		key := fmt.Sprintf("%s-%d", name, i)
		switch i % 10 {
		case 9:
			continue // never built
		case 3:
			empty = append(empty, d.shelf(t, key, 0))
		default:
			d.shelf(t, key, 100)
		}
		built = append(built, key)
		if i%10 == 8 {
			orphans = append(orphans, key)
		}
	}
	total, failing := len(before)+len(built), len(before)+len(orphans)
	ask := params{"of": of, "step": 1, "crates": 10}

	dry := d.run(t, spread, ask, query("dryRun", "true"))
	require.Equal(t, []any{"completed", &items{Total: total, Succeeded: total}}, []any{dry.Status, dry.Items})
	require.Equal(t, 100, d.crates(t, built[0]))

	// An empty shelf passes something on only if it gets something before.
	p := d.run(t, spread, ask)
	require.Equal(t, "completed-with-failures", p.Status)
	require.Equal(t, total, p.Items.Succeeded+p.Items.Failed)
	reasons := map[string]string{}
	for _, f := range d.failuresOf(t, spread, p.ID, 7) {
		reasons[f.Key] = f.Reason
	}
	require.Len(t, reasons, p.Items.Failed)
	late := 0
	for _, key := range empty {
		if reasons[key] == "not-enough" {
			late++
			delete(reasons, key)
		}
	}
	for _, key := range orphans {
		require.Equal(t, "no-shelf", reasons[key])
		item := d.progress(t, move, p.ID+"/"+key)
		require.Equal(t, "compensated", item.Status)
		delete(reasons, key)
	}
	for _, key := range before {
		require.Equal(t, "internal", reasons[key])
		delete(reasons, key)
	}
	require.Empty(t, reasons)
	require.Equal(t, failing+late, p.Items.Failed)

	for _, key := range empty {
		d.post(t, fillShelf, params{"shelf": key, "crates": 50}).completed()
	}
	d.shelf(t, name+"-9", 0)
	d.action(t, spread, p.ID, "retry-failed").accepted()
	again := d.awaitEnd(t, spread, p.ID)
	require.Equal(t, &items{Total: total, Succeeded: total - failing + 1, Failed: failing - 1}, again.Items)
	sum := 0
	for _, key := range append(built, name+"-9") {
		sum += d.crates(t, key)
	}
	require.Equal(t, 100*(len(built)-len(empty))+50*len(empty), sum)
	require.Equal(t, 10, d.crates(t, name+"-9"), "the repeat did what the first round could not")
	require.Equal(t, 100, d.crates(t, built[1]), "what succeeded is not repeated")
}

// groupOf lists a group of a type.
func (d *depot) groupOf(t *testing.T, entityType, classifier string) (all []string) {
	t.Helper()
	var page struct {
		Items []string `json:"items"`
		Next  string   `json:"next"`
	}
	d.get(t, path("groups", entityType, classifier, "members"), query("limit", "1000")).into(&page)
	require.Empty(t, page.Next)
	return page.Items
}
