package workflows_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/flow"
	"github.com/longrun-dev/longrun/internal/stream"
	"github.com/longrun-dev/longrun/workflows"
)

// total is what n pots hold together.
func (l *lab) total(n int) int {
	l.t.Helper()
	sum := 0
	for i := range n {
		sum += l.content(fmt.Sprintf("pot-%d", i))
	}
	return sum
}

// failures are the reasons of failed items by their keys.
func (l *lab) failures(command, id string) map[string]string {
	l.t.Helper()
	items, next, err := l.commands.Failures(l.t.Context(), command, id, "", 100)
	require.NoError(l.t, err)
	require.Empty(l.t, next)
	reasons := map[string]string{}
	for _, item := range items {
		reasons[item.Key] = item.Reason
	}
	return reasons
}

func succeeded(n int) func(flow.Progress) bool {
	return func(p flow.Progress) bool { return p.Items != nil && p.Items.Succeeded >= n }
}

func TestABatchIsPausedAndResumed(t *testing.T) {
	l := newLabWith(t, labConfig{Config: workflows.Config{SweepIdle: patient}})
	l.fillMany(60)
	l.startWith("lab.fill-all", "b", all{1}, flow.Options{RatePerSecond: 60})
	l.await("lab.fill-all", "b", succeeded(5))
	require.Equal(t, flow.StatusPaused, l.do(l.commands.Pause, "lab.fill-all", "b").Status)
	l.fill("late", 10)    // it joins the group after the start
	l.until(func() bool { // what had begun has ended, and nothing else begins
		p, err := l.system.Progress(t.Context(), "lab.fill-all", "b", nil)
		return err == nil && l.total(60) == 600+p.Items.Succeeded
	})
	p := l.do(l.commands.Resume, "lab.fill-all", "b")
	require.Less(t, p.Items.Succeeded, 60)
	resumed := time.Now()
	p = l.end("lab.fill-all", "b")
	require.Less(t, time.Since(resumed), 20*time.Second)
	require.Equal(t, flow.StatusCompleted, p.Status)
	require.Equal(t, &flow.Items{Total: 60, Succeeded: 60}, p.Items)
	require.Equal(t, 660, l.total(60))
	require.Equal(t, 10, l.content("late"), "who joins later is no member")
	l.nothingOpen()
}

func TestABatchIsCancelled(t *testing.T) {
	l := newLabWith(t, labConfig{Config: workflows.Config{SweepIdle: patient}})
	l.fillMany(60)
	l.startWith("lab.fill-all", "b", all{1}, flow.Options{RatePerSecond: 60})
	l.await("lab.fill-all", "b", succeeded(5))
	l.do(l.commands.Cancel, "lab.fill-all", "b")
	p := l.end("lab.fill-all", "b")
	require.Equal(t, flow.StatusCancelled, p.Status)
	require.Positive(t, p.Items.Pending)
	require.Equal(t, 600+p.Items.Succeeded, l.total(60), "what is recorded is what was done")
	_, err := l.commands.Resume(t.Context(), "lab.fill-all", "b", stream.Context{})
	require.ErrorContains(t, err, "has ended")
	l.nothingOpen()
}

// A batch that was stopped runs, when it is repeated, what failed and what it did
// not run.
func TestAStoppedBatchIsRepeated(t *testing.T) {
	l := newLabWith(t, labConfig{Config: workflows.Config{SweepIdle: patient, Chunk: 2, Window: 1}})
	l.fillMany(40)
	const full = 15
	for i := range full {
		l.fill(fmt.Sprintf("pot-%d", i), 990)
	}
	l.startWith("lab.fill-all", "b", all{1}, flow.Options{StopAfterFailures: 2})
	p := l.end("lab.fill-all", "b")
	require.Equal(t, flow.StatusCompletedWithFailures, p.Status)
	require.Equal(t, "stopped-after-failures", p.Error.Reason)
	require.Positive(t, p.Items.Pending)
	require.Equal(t, 40, p.Items.Pending+p.Items.Failed+p.Items.Succeeded)
	require.Len(t, l.failures("lab.fill-all", "b"), p.Items.Failed)
	for i := range full {
		_, err := l.system.Do(t.Context(), actors.Command{
			Name: "lab.move", ID: uuid.NewString(), Step: "take", Params: encoded(t, move{potID(fmt.Sprintf("pot-%d", i)), "x", 500}),
		})
		require.NoError(t, err)
	}
	before := l.total(40) - p.Items.Succeeded
	l.do(l.commands.RetryFailed, "lab.fill-all", "b")
	p = l.end("lab.fill-all", "b")
	require.Equal(t, flow.StatusCompleted, p.Status)
	require.Equal(t, &flow.Items{Total: 40, Succeeded: 40}, p.Items)
	require.Equal(t, before+40, l.total(40), "each once")
	l.nothingOpen()
}

func TestABatchKeepsToItsRate(t *testing.T) {
	l := newLabWith(t, labConfig{Config: workflows.Config{SweepIdle: patient}})
	l.fillMany(30)
	l.startWith("lab.fill-all", "b", all{1}, flow.Options{RatePerSecond: 40})
	require.Equal(t, flow.StatusCompleted, l.end("lab.fill-all", "b").Status)
	var first, last time.Time
	for i := range 30 {
		events, _, err := l.system.Events(t.Context(), pot(fmt.Sprintf("pot-%d", i)), 2, 1)
		require.NoError(t, err)
		if at := events[0].At; first.IsZero() || at.Before(first) {
			first = at
		}
		if at := events[0].At; at.After(last) {
			last = at
		}
	}
	require.Greater(t, last.Sub(first), 29*time.Second/40*9/10)
}

// unreachable is a system in which one entity takes no items while it is away.
type unreachable struct {
	workflows.System
	away atomic.Bool
	ids  chan string
}

func (u *unreachable) Start(ctx context.Context, c actors.Command, done func(actors.Answer, error)) {
	if u.away.Load() && strings.HasSuffix(c.ID, "/away") {
		u.ids <- c.ID
		done(actors.Answer{}, catalog.Faultf(catalog.Unavailable, "nobody hosts it"))
		return
	}
	u.System.Start(ctx, c, done)
}

// A poisoned item never stops the others, whatever is wrong with it.
func TestPoisonedItems(t *testing.T) {
	store := stream.NewMemory()
	u := &unreachable{ids: make(chan string, 20)}
	u.away.Store(true)
	l := newLabWith(t, labConfig{
		Config: workflows.Config{SweepIdle: patient, ItemPause: time.Millisecond, Chunk: 20, Window: 1}, store: store,
		system: func(s *actors.System) workflows.System { u.System = s; return u },
	})
	l.fillMany(20)
	for _, key := range []string{"unspeakable", "away", "newer", "corrupt"} {
		l.fill(key, 10)
	}
	// An event that this release does not know.
	first, err := store.Read(t.Context(), []string{pot("newer").CommitKey(1)})
	require.NoError(t, err)
	c := stream.Commit{
		Stream: pot("newer"), Number: 2, ID: uuid.New(), First: 2, Prev: stream.HashOf(first[0]), At: time.Now().UTC().Truncate(time.Microsecond),
		Appends: []stream.Append{{ID: "x/paint", Events: []stream.Event{{Name: "painted", Version: 1, Data: []byte(`{}`)}}}},
	}
	require.NoError(t, store.Insert(t.Context(), []stream.Entry{{Key: c.Stream.CommitKey(2), Value: c.Encode(), Partition: c.Stream.Partition()}}))
	corrupt := stream.Entry{Key: pot("corrupt").CommitKey(2), Value: []byte("nothing that can be read"), Partition: pot("corrupt").Partition()}
	require.NoError(t, store.Insert(t.Context(), []stream.Entry{corrupt}))

	l.start("lab.fill-all", "direct", all{1})
	p := l.end("lab.fill-all", "direct")
	require.Equal(t, flow.StatusCompletedWithFailures, p.Status)
	require.Equal(t, 220, l.total(20))
	reasons := l.failures("lab.fill-all", "direct")
	require.Len(t, reasons, 4)
	require.Contains(t, reasons, "unspeakable")
	require.Equal(t, "unavailable", reasons["away"])
	require.Equal(t, "not-judged", reasons["newer"])
	require.Equal(t, "not-judged", reasons["corrupt"])
	require.Equal(t, 20, p.Items.Succeeded)
	require.Zero(t, p.Items.Pending)

	l.start("lab.order-all", "steps", orders{1, "free"})
	l.await("lab.order-all", "steps", succeeded(21)) // away is, to steps, like any other
	require.Contains(t, l.failures("lab.order-all", "steps"), "unspeakable")

	// What nobody knows of keeps its id, what was refused gets a new one.
	for len(u.ids) > 0 {
		require.Equal(t, "direct/away", <-u.ids)
	}
	u.away.Store(false)
	store.Delete(corrupt.Key)
	l.do(l.commands.RetryFailed, "lab.fill-all", "direct")
	l.end("lab.fill-all", "direct")
	reasons = l.failures("lab.fill-all", "direct")
	require.NotContains(t, reasons, "away")
	require.NotContains(t, reasons, "corrupt")
	require.Contains(t, reasons, "unspeakable")
	require.Equal(t, 220+20, l.total(20))
	require.Equal(t, 12, l.content("away"))
}

// Items that wait for something are left to themselves, and the others run.
func TestItemsThatWaitHoldNobodyUp(t *testing.T) {
	l := newLabWith(t, labConfig{Config: workflows.Config{SweepIdle: patient, Window: 1}})
	l.fillMany(20)
	l.start("lab.order-all", "b", orders{1, "asked"})
	for i := range 20 {
		id := fmt.Sprintf("b/pot-%d", i)
		l.until(func() bool {
			p, err := l.system.Progress(t.Context(), "lab.order", id, nil)
			return err == nil && p.Status == flow.StatusWaiting
		})
	}
	for i := range 20 {
		l.approve("lab.order", fmt.Sprintf("b/pot-%d", i))
	}
	p := l.end("lab.order-all", "b")
	require.Equal(t, &flow.Items{Total: 20, Succeeded: 20}, p.Items)
	require.Equal(t, 220, l.total(20))
	l.nothingOpen()
}

// A process that dies in the middle of a batch, twice: the next one on the same
// store and engine ends it, and each item has happened once.
func TestABatchSurvivesItsProcess(t *testing.T) {
	const n = 3000
	cfg := labConfig{
		Config: workflows.Config{SweepIdle: time.Second, Chunk: 50}, store: stream.NewMemory(), clock: &clock{},
		file: t.TempDir() + "/engine.db",
	}
	l := newLabWith(t, cfg)
	l.fillMany(n)
	l.start("lab.fill-all", "b", all{1})
	for _, enough := range []int{300, 1200} {
		l.await("lab.fill-all", "b", succeeded(enough))
		l.kill()
		l = newLabWith(t, cfg)
	}
	p := l.end("lab.fill-all", "b")
	require.Equal(t, flow.StatusCompleted, p.Status)
	require.Equal(t, &flow.Items{Total: n, Succeeded: n}, p.Items)
	for i := range n {
		require.Equal(t, 11, l.content(fmt.Sprintf("pot-%d", i)))
	}
	recorded := map[string]int{}
	for from := uint64(1); from != 0; {
		events, next, err := l.system.Events(t.Context(), commandOf("b"), from, 0)
		require.NoError(t, err)
		for _, e := range events {
			if e.Event.Name == flow.EventItemsRecorded {
				var items flow.ItemsRecorded
				decode(t, e.Event.Data, &items)
				for _, item := range items.Items {
					recorded[item.Key]++
				}
			}
		}
		from = next
	}
	require.Len(t, recorded, n)
	for key, times := range recorded {
		require.Equal(t, 1, times, key)
	}
	l.nothingOpen()
}
