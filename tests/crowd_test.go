package tests

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// crowd is people who have commands run on a bank and in a depot. They send each
// until it is taken, as API.md allows: some post, some publish, five times.
type crowd struct {
	*depot
	t        *testing.T
	seed     uint64
	accounts []string // with money, and some that are closed
	idle     []string
	built    []string // shelves
	money    int64

	people sync.WaitGroup
	taken  atomic.Int64
	wake   chan struct{}

	mu        sync.Mutex
	transfers map[string]params
	batches   map[string]params // of interest
	spreads   map[string]params
	closed    map[string]bool // idle accounts that were closed while a batch ran
}

func newCrowd(t *testing.T, d *depot, seed uint64) *crowd {
	t.Helper()
	c := &crowd{
		depot: d, t: t, seed: seed, wake: make(chan struct{}, 1),
		transfers: map[string]params{}, batches: map[string]params{}, spreads: map[string]params{}, closed: map[string]bool{},
	}
	var lines []line
	add := func(command string, p params) {
		lines = append(lines, line{Command: command, ID: fmt.Sprintf("setup-%d", len(lines)), Parameters: p})
	}
	for i := range crowdSize {
		key := fmt.Sprintf("rich-%d", i)
		c.accounts = append(c.accounts, key)
		add(openAccount, params{"account": key, "owner": "Jana"})
		if i%8 == 7 {
			add(closeAccount, params{"account": key})
			continue
		}
		add(deposit, params{"account": key, "amount": 500})
		c.money += 500
	}
	for i := range idleSize {
		key := fmt.Sprintf("idle-%d", i)
		c.idle = append(c.idle, key)
		add(openAccount, params{"account": key, "owner": "Petr"})
	}
	for i := range shelves {
		if i%10 == 9 {
			continue // never built
		}
		key := fmt.Sprintf("s-%d", i)
		c.built = append(c.built, key)
		add(buildShelf, params{"shelf": key, "crates": i % 10 * 20})
	}
	for some := range slices.Chunk(lines, 400) {
		c.until("the setup", func() (done bool) {
			done = true
			for _, r := range bulk(t, d.bank, some) {
				if r.Error != nil {
					require.Equal(t, "unavailable", r.Error.Code, "%+v", r)
					done = false
				}
			}
			return done
		})
	}
	return c
}

// begin lets the crowd loose for one cycle: 200 transfers, a batch of interest, and
// one of moves.
func (c *crowd) begin(cycle int) {
	day := params{"day": fmt.Sprintf("1993-%02d-%02d", 1+cycle/28, 1+cycle%28)}
	pass := params{"of": shelves, "step": 1 + cycle, "crates": 7}
	for person := range 4 {
		c.people.Go(func() {
			random := rand.New(rand.NewPCG(c.seed, uint64(100+cycle*10+person)))
			for i := range perCycle / 4 {
				c.transfer(random, fmt.Sprintf("transfer-%d-%d-%d", cycle, person, i), person%2 == 0)
			}
		})
	}
	c.people.Go(func() {
		id := fmt.Sprintf("interest-%d", cycle)
		c.mu.Lock()
		c.batches[id] = day
		c.mu.Unlock()
		c.post(accrueForAll, id, day, fmt.Sprintf("?ratePerSecond=%f", idleSize/perBatch.Seconds()))
		random := rand.New(rand.NewPCG(c.seed, uint64(200+cycle)))
		for i := range 10 { // close accounts under its hands
			key := c.idle[random.IntN(len(c.idle))]
			c.direct(closeAccount, fmt.Sprintf("close-%d-%d", cycle, i), params{"account": key})
			c.mu.Lock()
			c.closed[key] = true
			c.mu.Unlock()
		}
	})
	c.people.Go(func() {
		id := fmt.Sprintf("spread-%d", cycle)
		c.mu.Lock()
		c.spreads[id] = pass
		c.mu.Unlock()
		for range 5 {
			c.publishUntil(message(c.t, spread, id, pass))
		}
	})
}

// transfer has some money moved: often more than there is, or to nobody.
func (c *crowd) transfer(random *rand.Rand, id string, posted bool) {
	from, to := random.IntN(crowdSize), fmt.Sprintf("nobody-%d", random.IntN(10))
	if random.IntN(6) > 0 {
		to = c.accounts[(from+1+random.IntN(crowdSize-1))%crowdSize]
	}
	ask := params{"from": c.accounts[from], "to": to, "amount": 1 + random.IntN(400)}
	c.mu.Lock()
	c.transfers[id] = ask
	c.mu.Unlock()
	if posted {
		c.post(transfer, id, ask, "?wait=1s")
	} else {
		for range 5 {
			c.publishUntil(message(c.t, transfer, id, ask))
		}
		time.Sleep(pause) // as a client does
	}
	c.taken.Add(1)
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// until sends something until it is answered as it should be.
func (c *crowd) until(what string, send func() (done bool)) {
	for began := time.Now(); !send() && !c.t.Failed(); time.Sleep(pause) {
		if time.Since(began) > definite {
			c.t.Errorf("%s was not taken in %s", what, definite)
			return
		}
	}
}

// post posts a command that runs on until it is taken.
func (c *crowd) post(command, name string, ask params, query string) {
	body := jsonText(c.t, ask)
	c.until(name, func() bool {
		a, err := c.send(context.Background(), http.MethodPost, path("commands", command)+query, body, id(name))
		return c.taken2xx(name, a, err)
	})
}

// direct runs a direct command until it is answered, with a rejection perhaps.
func (c *crowd) direct(command, name string, ask params) {
	body := jsonText(c.t, ask)
	c.until(name, func() bool {
		a, err := c.send(context.Background(), http.MethodPost, path("commands", command), body, id(name))
		return err == nil && a.status == http.StatusUnprocessableEntity || c.taken2xx(name, a, err)
	})
}

func (c *crowd) taken2xx(name string, a answer, err error) bool {
	switch {
	case err != nil || a.status == http.StatusServiceUnavailable:
		return false
	case a.status == http.StatusOK || a.status == http.StatusAccepted:
		return true
	}
	c.t.Errorf("%s: status %d: %s", name, a.status, a.body)
	return true
}

func (c *crowd) publishUntil(body string) {
	c.until(body, func() bool {
		sidecar := c.DaprHTTP[c.turn.Add(1)%uint64(len(c.DaprHTTP))]
		resp, err := c.client.Post(sidecar+"/v1.0/publish/pubsub/commands", "application/json", strings.NewReader(body))
		if err != nil {
			return false
		}
		return resp.Body.Close() == nil && resp.StatusCode == http.StatusNoContent
	})
}

func (c *crowd) count() int { return int(c.taken.Load()) }

// await waits until so many transfers have been taken.
func (c *crowd) await(n int) {
	c.t.Helper()
	timeout := time.After(definite)
	for c.count() < n {
		select {
		case <-c.wake:
		case <-timeout:
			require.Fail(c.t, "the bank takes no transfers any more", "%d of %d", c.count(), n)
		}
	}
}

// end waits until everything was taken, and has ended.
func (c *crowd) end() {
	c.t.Helper()
	c.people.Wait()
	began := time.Now()
	var last string
	for command, all := range map[string]map[string]params{transfer: c.transfers, accrueForAll: c.batches, spread: c.spreads} {
		inParallel(mapKeys(all), func(id string) {
			for {
				p, ok := c.look(command, id)
				if ok && p.EndedAt != nil {
					return
				}
				if time.Since(began) > mustEnd {
					c.t.Errorf("%s %s has not ended %s after the last fault: %s %+v", command, id, mustEnd, p.Status, p.Items)
					return
				}
				c.mu.Lock()
				last = id
				c.mu.Unlock()
				time.Sleep(pause) // between two looks
			}
		})
	}
	if c.t.Failed() {
		c.t.FailNow()
	}
	c.t.Logf("all have ended, %s after the last was taken; the last was %s", time.Since(began).Round(100*time.Millisecond), last)
}

func mapKeys(m map[string]params) (all []string) {
	for key := range m {
		all = append(all, key)
	}
	slices.Sort(all)
	return all
}

// look reads the progress of a command of a bank that may be down.
func (c *crowd) look(command, id string) (p progress, ok bool) {
	a, err := c.send(context.Background(), http.MethodGet, path("commands", command, id), "")
	if err != nil || a.status != http.StatusOK {
		return p, false
	}
	if err := json.Unmarshal(a.body, &p); err != nil {
		c.t.Errorf("%s: %v", a.body, err)
	}
	return p, true
}
