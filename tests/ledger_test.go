package tests

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
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

const (
	// definite is how long a command may go without a definite answer, however
	// often it is sent.
	definite = 2 * time.Minute

	// pause is how long the clients of a ledger wait before they send again.
	pause = 50 * time.Millisecond
)

// told is what a client was told of a command: completed, or rejected with a
// reason.
type told struct {
	asked  line
	answer done
	reason string
}

// ledger is a crowd of clients of one bank. Each sends a command until it gets
// a definite answer, always with the same id, as API.md allows; the ledger
// remembers the answers. check then compares them with what the bank holds.
type ledger struct {
	t    *testing.T
	bank atomic.Pointer[bank]
	seed uint64

	followed string        // the account that follower follows
	follower *returning    // sees all of it
	ending   chan struct{} // closed when no new command may be sent
	clients  sync.WaitGroup
	wake     chan struct{} // gets a value when something was told, if it is empty

	mu       sync.Mutex
	told     map[string]told
	accounts []string
	unclear  int           // answers that were not definite: unavailable, or none
	slowest  time.Duration // time to any answer, a 503 too
}

// newLedger opens accounts and lets clients loose: for every four who send one
// command at a time there is one who sends bulks.
func newLedger(t *testing.T, b *bank, seed uint64, accounts, clients int) *ledger {
	t.Helper()
	l := &ledger{t: t, seed: seed, ending: make(chan struct{}), wake: make(chan struct{}, 1), told: map[string]told{}}
	l.bank.Store(b)
	var opening []line
	for i := range accounts {
		opening = append(opening, l.opening(fmt.Sprintf("%d", i)))
	}
	l.settle(opening, l.bulk)
	l.followed = l.accounts[0]
	l.follower = l.follow(of(l.followed, "events"))
	for c := range clients {
		send, size := l.single, 1
		if c%5 == 4 {
			send, size = l.bulk, 40
		}
		l.clients.Go(func() { l.client(c, size, send) })
	}
	t.Cleanup(l.end)
	return l
}

// client sends commands until the ledger ends.
func (l *ledger) client(number, size int, send func([]line) []line) {
	random := rand.New(rand.NewPCG(l.seed, uint64(number)))
	for n := 0; ; n++ {
		select {
		case <-l.ending:
			return
		default:
		}
		name := fmt.Sprintf("%d-%d", number, n)
		if random.IntN(100) == 0 {
			l.settle([]line{l.opening(name)}, send)
			continue
		}
		var lines []line
		for i := range size {
			lines = append(lines, l.movement(random, fmt.Sprintf("%s-%d", name, i)))
		}
		l.settle(lines, send)
		if random.IntN(10) == 0 {
			l.settle(lines, send) // the answers must be the same
		}
	}
}

func (l *ledger) opening(name string) line {
	key := fmt.Sprintf("account-%x-%s", l.seed, name)
	return line{Command: openAccount, ID: "open-" + key, Parameters: params{"account": key, "owner": "Jana"}}
}

// movement moves money of a random account. Its purpose is its id, so that its
// event can be found by it.
func (l *ledger) movement(random *rand.Rand, name string) line {
	l.mu.Lock()
	key := l.accounts[random.IntN(len(l.accounts))]
	l.mu.Unlock()
	id := fmt.Sprintf("move-%x-%s", l.seed, name)
	command := deposit
	if random.IntN(2) == 0 {
		command = withdraw
	}
	return line{Command: command, ID: id, Parameters: params{"account": key, "amount": 1 + random.IntN(100), "purpose": id}}
}

// settle sends lines until each has a definite answer, or the test has failed.
func (l *ledger) settle(lines []line, send func([]line) []line) {
	for began := time.Now(); ; {
		if lines = send(lines); len(lines) == 0 || l.t.Failed() {
			return
		}
		if time.Since(began) > definite {
			l.t.Errorf("%d commands have no definite answer after %s, the first is %s", len(lines), definite, lines[0].ID)
			return
		}
		time.Sleep(pause) // as a client does
	}
}

// single sends one command by itself and returns it if the answer is not
// definite.
func (l *ledger) single(lines []line) (open []line) {
	for _, one := range lines {
		body := jsonText(l.t, one.Parameters)
		began := time.Now()
		a, err := l.bank.Load().send(context.Background(), http.MethodPost, path("commands", one.Command), body, id(one.ID))
		l.answered(time.Since(began))
		switch {
		case err == nil && a.status == http.StatusOK:
			var d done
			if err := json.Unmarshal(a.body, &d); err != nil {
				l.t.Errorf("%s: %s", err, a.body)
			}
			l.tell(told{one, d, ""})
			continue
		case err == nil && a.header.Get("Content-Type") == "application/problem+json":
			var p problem
			if err := json.Unmarshal(a.body, &p); err != nil {
				l.t.Errorf("%s: %s", err, a.body)
			}
			if p.Code == "unavailable" && a.header.Get("Retry-After") == "" {
				l.t.Errorf("unavailable without Retry-After: %s", a.body)
			}
			if l.refused(one, p) {
				continue
			}
		case err == nil:
			l.t.Errorf("status %d: %s", a.status, a.body)
		default:
			l.unsure()
		}
		open = append(open, one)
	}
	return open
}

// bulk sends commands as one bulk and returns those without a definite answer.
func (l *ledger) bulk(lines []line) (open []line) {
	var body strings.Builder
	for _, one := range lines {
		body.WriteString(jsonText(l.t, one) + "\n")
	}
	answers := make([]*reply, len(lines))
	a, err := l.bank.Load().send(context.Background(), http.MethodPost, "/commands", body.String(), header("Content-Type", "application/x-ndjson"))
	if a.status == http.StatusOK {
		for text := range strings.Lines(string(a.body)) {
			var r reply
			if json.Unmarshal([]byte(text), &r) == nil && r.Line >= 1 && r.Line <= len(lines) { // the last line may be cut
				answers[r.Line-1] = &r
			}
		}
	}
	stopping := false // a bank that stops says so for a line, and reads none after it
	for i, one := range lines {
		r := answers[i]
		if r != nil {
			stopping = r.Error != nil && r.Error.Code == "unavailable"
		}
		switch {
		case r == nil:
			if err == nil && a.status == http.StatusOK && !stopping {
				l.t.Errorf("line %d of a bulk that ended well has no answer", i+1)
			}
			l.unsure()
		case r.Error == nil:
			l.tell(told{one, r.done, ""})
			continue
		case l.refused(one, *r.Error):
			continue
		}
		open = append(open, one)
	}
	return open
}

// refused hears a problem, and says whether it is definite.
func (l *ledger) refused(one line, p problem) bool {
	switch p.Code {
	case "rejected":
		l.tell(told{asked: one, reason: p.Reason})
		return true
	case "unavailable":
		l.unsure()
		return false
	}
	l.t.Errorf("%s %s: %+v", one.Command, one.ID, p)
	return true
}

func (l *ledger) unsure() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unclear++
}

func (l *ledger) answered(after time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slowest = max(l.slowest, after)
}

// tell remembers a definite answer. What was told once stays so.
func (l *ledger) tell(now told) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before, repeated := l.told[now.asked.ID]
	switch {
	case repeated && (before.reason != now.reason || jsonText(l.t, before.answer) != jsonText(l.t, now.answer)):
		l.t.Errorf("%s was answered twice: first %q %+v, then %q %+v", now.asked.ID, before.reason, before.answer, now.reason, now.answer)
	case repeated:
	case now.asked.Command == openAccount:
		l.accounts = append(l.accounts, now.answer.Key)
		fallthrough
	default:
		l.told[now.asked.ID] = now
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// count is how many commands have a definite answer.
func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.told)
}

// await waits until so many more commands have a definite answer.
func (l *ledger) await(more int) {
	l.t.Helper()
	timeout := time.After(definite)
	for want := l.count() + more; l.count() < want; {
		select {
		case <-l.wake:
		case <-timeout:
			require.Fail(l.t, "the bank serves nobody any more", "%d of %d commands more", l.count()+more-want, more)
		}
	}
}

// end waits until every command that was sent has a definite answer.
func (l *ledger) end() {
	select {
	case <-l.ending:
	default:
		close(l.ending)
	}
	l.clients.Wait()
}

// check ends the ledger and compares what clients were told with what the bank
// holds: each completed command is one event of its account's stream, at the
// sequence and with the balance that were answered; there is no other event;
// every stream verifies; every command can be read and is listed; no account is
// missing.
func (l *ledger) check() {
	l.t.Helper()
	l.end()
	b := l.bank.Load()
	b.awaitReady(l.t)
	perAccount := map[string][]told{}
	for _, d := range l.told {
		key := d.asked.Parameters["account"].(string)
		perAccount[key] = append(perAccount[key], d)
	}
	keys := b.keys(l.t, "1000")
	for _, key := range slices.Sorted(maps.Keys(perAccount)) {
		require.Equal(l.t, 1, occurrences(keys, key), "%s in the list of accounts", key)
	}
	events := b.events(l.t, of(l.followed, "events"))
	eventually(l.t, "the follower has seen everything", func() bool { return l.follower.count() == len(events) })
	require.Equal(l.t, events, l.follower.seen)
	inParallel(slices.Collect(maps.Keys(perAccount)), func(key string) { l.checkAccount(b, key, perAccount[key]) })
	inParallel(slices.Collect(maps.Values(l.told)), func(d told) { l.checkCommand(b, d) })
	l.checkList(b)
	l.t.Logf("%d commands on %d accounts; %d answers were not definite; the slowest answer took %s", len(l.told), len(perAccount), l.unclear, l.slowest)
}

// checkAccount compares one stream with what was told of it.
func (l *ledger) checkAccount(b *bank, key string, all []told) {
	events := b.events(l.t, of(key, "events"))
	var completed []told
	for _, d := range all {
		if d.reason == "" {
			completed = append(completed, d)
		}
	}
	slices.SortFunc(completed, func(x, y told) int { return int(x.answer.Sequence) - int(y.answer.Sequence) })
	if len(events) != len(completed) {
		l.t.Errorf("%s has %d events, of %d commands that were completed", key, len(events), len(completed))
		return
	}
	var balance int64
	for i, e := range events {
		var data struct {
			Amount  int64
			Purpose string
		}
		if err := json.Unmarshal(e.Data, &data); err != nil {
			l.t.Error(err)
		}
		want := completed[i]
		switch e.Name {
		case "money-deposited":
			balance += data.Amount
		case "money-withdrawn":
			balance -= data.Amount
		default:
			continue
		}
		if e.Sequence != want.answer.Sequence || data.Purpose != want.asked.ID || string(want.answer.Result) != fmt.Sprint(balance) {
			l.t.Errorf("%s: event %d is of %s and leaves %d; told was %s, sequence %d, balance %s",
				key, e.Sequence, data.Purpose, balance, want.asked.ID, want.answer.Sequence, want.answer.Result)
		}
	}
	if got := b.balance(l.t, key); got != balance {
		l.t.Errorf("%s: the balance is %d, its events say %d", key, got, balance)
	}
	if r := b.verify(l.t, key); !r.OK || r.Events != uint64(len(events)) {
		l.t.Errorf("%s does not verify: %+v", key, r)
	}
}

// checkCommand reads one command.
func (l *ledger) checkCommand(b *bank, d told) {
	l.compare(b.progress(l.t, d.asked.Command, d.asked.ID), d)
}

// compare looks whether progress says what was told.
func (l *ledger) compare(p progress, d told) {
	status, reason := "completed", ""
	if d.reason != "" {
		status = "rejected"
	}
	if p.Error != nil {
		reason = p.Error.Reason
	}
	if p.ID != d.asked.ID || p.Command != d.asked.Command || p.Status != status || reason != d.reason || string(p.Result) != string(d.answer.Result) {
		l.t.Errorf("%s: told was %q %s, recorded is %+v", d.asked.ID, d.reason, d.answer.Result, p)
	}
}

// checkList finds every command in the list of commands, once.
func (l *ledger) checkList(b *bank) {
	l.t.Helper()
	listed := map[string]int{}
	for cursor := ""; ; {
		var page struct {
			Items []progress `json:"items"`
			Next  string     `json:"next"`
		}
		b.get(l.t, "/commands", query("limit", "1000", "cursor", cursor)).into(&page)
		for _, p := range page.Items {
			listed[p.ID]++
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	for id := range l.told {
		if listed[id] != 1 {
			l.t.Errorf("%s is listed %d times", id, listed[id])
		}
	}
}

// returning follows a stream and, whenever that ends, comes back for the rest.
type returning struct {
	mu   sync.Mutex
	seen []event
}

// follow sends a follower, who stays until the test ends.
func (l *ledger) follow(stream string) *returning {
	ctx, cancel := context.WithCancel(context.Background())
	f, gone := &returning{}, make(chan struct{})
	go func() {
		defer close(gone)
		for ; ctx.Err() == nil; time.Sleep(pause) {
			resp, err := l.bank.Load().openFollow(ctx, stream, header("Last-Event-ID", fmt.Sprint(f.count())))
			if err != nil {
				continue
			}
			if resp.StatusCode == http.StatusOK {
				readEvents(resp.Body, f.add)
			}
			_ = resp.Body.Close()
		}
	}()
	l.t.Cleanup(func() { cancel(); <-gone })
	return f
}

// add takes the next event; one of another kind says what keeps the bank from
// going on.
func (f *returning) add(e event, _, kind string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if kind == "" {
		f.seen = append(f.seen, e)
	}
	return kind == ""
}

func (f *returning) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.seen)
}

func occurrences(in []string, s string) (n int) {
	for _, one := range in {
		if one == s {
			n++
		}
	}
	return n
}

// inParallel calls f for everything there is, a few at a time.
func inParallel[T any](all []T, f func(T)) {
	queue := make(chan T)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for one := range queue {
				f(one)
			}
		})
	}
	for _, one := range all {
		queue <- one
	}
	close(queue)
	group.Wait()
}

// awaitReady waits until every replica says that it is ready.
func (b *bank) awaitReady(t *testing.T) {
	t.Helper()
	for _, replica := range b.API {
		eventually(t, replica+" is ready", func() bool {
			resp, err := b.client.Get(replica + "/readyz")
			if err != nil {
				return false
			}
			return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
		})
	}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); {
		if time.Now().After(deadline) {
			require.Fail(t, "did not happen: "+what)
		}
		time.Sleep(10 * time.Millisecond) // between two looks, not instead of one
	}
}
