package tests

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestRunningFaults breaks parts of a bank and a depot at random moments while
// transfers and batches run, and shows that every one of them ends, did what it
// says, once, and that no money is lost or made. Its environment is TestFaults'.
func TestRunningFaults(t *testing.T) {
	t.Run("one replica", func(t *testing.T) { breaksRunning(t, 1, runningFaults) })
	t.Run("three replicas", func(t *testing.T) { breaksRunning(t, 3, append(slices.Clone(runningFaults), faultsOfReplicas[0])) })
}

var runningFaults = []fault{
	{"application killed", func(t *testing.T, b *bank, random *rand.Rand) { b.kill(t, syscall.SIGKILL, b.any("app", random)) }},
	{"sidecar killed", func(t *testing.T, b *bank, random *rand.Rand) { b.kill(t, syscall.SIGKILL, b.any("sidecar", random)) }},
	{"scheduler killed", func(t *testing.T, b *bank, _ *rand.Rand) { b.kill(t, syscall.SIGKILL, "scheduler") }},
	{"broker killed", func(t *testing.T, b *bank, _ *rand.Rand) { b.kill(t, syscall.SIGKILL, "broker") }},
	{"everything killed", func(t *testing.T, b *bank, _ *rand.Rand) { b.kill(t, syscall.SIGKILL, b.processes(t)...) }},
	{"scheduler's data lost", func(t *testing.T, b *bank, _ *rand.Rand) { b.wipeScheduler(t) }},
}

// wipeScheduler kills the scheduler, which then starts without its data.
func (b *bank) wipeScheduler(t *testing.T) {
	t.Helper()
	data := filepath.Join(b.Dir(), "data", "scheduler")
	require.NoError(t, os.Rename(data, fmt.Sprintf("%s-lost-%d", data, time.Now().UnixNano())))
	b.kill(t, syscall.SIGKILL, "scheduler")
}

const (
	perCycle  = 200             // transfers while each fault happens once
	mustEnd   = 2 * time.Minute // how long after the last fault a command may take to end
	crowdSize = 40              // accounts between which money moves
	idleSize  = 2000            // accounts that only earn interest
	shelves   = 60
	perBatch  = 20 * time.Second // how long a batch of interest takes that nothing breaks
)

func breaksRunning(t *testing.T, replicas int, faults []fault) {
	o, _ := faultStore(t)
	rounds, seed := number(t, "LONGRUN_FAULT_ROUNDS", len(faults)), uint64(number(t, "LONGRUN_FAULT_SEED", rand.Int()))
	t.Logf("LONGRUN_FAULT_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	o.Replicas, o.Args = replicas, []string{"--restart"}
	o.Env = append(o.Env, "LONGRUN_SWEEP_AFTER=5s") // what the scheduler lost does not take minutes
	c := newCrowd(t, startDepot(t, o), seed)
	for cycle := 0; cycle*len(faults) < rounds; cycle++ {
		c.begin(cycle)
		for i, at := range random.Perm(len(faults)) {
			if cycle*len(faults)+i >= rounds {
				break
			}
			c.await(cycle*perCycle + (i*perCycle+random.IntN(perCycle))/len(faults))
			t.Logf("%s after %d transfers", faults[at].name, c.count())
			faults[at].apply(t, c.bank, random)
		}
		c.end()
	}
	c.check()
}

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
	for id, ask := range c.batches {
		c.checkInterest(id, ask)
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

// checkInterest finds the interest of a day on every account that the batch says
// it was accrued on, once, and on no other.
func (c *crowd) checkInterest(id string, day params) {
	c.t.Helper()
	p := c.progress(c.t, accrueForAll, id)
	failed := map[string]bool{}
	for _, f := range c.failures(c.t, id, 1000) {
		failed[f.Key] = true
		if f.Reason != "account-not-open" || !c.closed[f.Key] {
			c.t.Errorf("%s failed on %+v", id, f)
		}
	}
	status := "completed"
	if len(failed) > 0 {
		status = "completed-with-failures"
	}
	if p.Status != status || p.Items.Pending != 0 || p.Items.Failed != len(failed) || p.Items.Succeeded+p.Items.Failed != p.Items.Total {
		c.t.Errorf("%s: %s, %+v, and %d failures", id, p.Status, p.Items, len(failed))
	}
	accrued := c.accrued(c.t, day)
	if len(accrued) != p.Items.Succeeded {
		c.t.Errorf("%s succeeded on %d accounts, and %d hold its interest", id, p.Items.Succeeded, len(accrued))
	}
	c.accruedOnce(c.t, accrued, day)
	for _, key := range accrued {
		if failed[key] {
			c.t.Errorf("%s failed on %s, which holds its interest", id, key)
		}
	}
	c.t.Logf("%s: %+v", id, *p.Items)
}

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
