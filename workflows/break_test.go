package workflows_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/flow"
	"github.com/longrun-dev/longrun/internal/stream"
	"github.com/longrun-dev/longrun/workflows"
)

// What follows runs a domain that does everything wrong that a domain can.

type bulky struct {
	Pot    potID  `json:"pot"`
	Text   string `json:"text"`
	Result int    `json:"result"` // bytes
	Do     string `json:"do"`
}

func (b bulky) pot() potID { return b.Pot }

func wildDomain() es.Domain {
	pot := es.NewEntity[potID]("pot", es.EventOf[put](), es.EventOf[taken]())
	content := es.NewProjection(pot, "content",
		es.On(func(n int, e put) int { return n + e.Amount }),
		es.On(func(n int, e taken) int { return n - e.Amount }))
	fillPot := es.NewCommand("fill", es.Decide("fill", fill.pot, content, func(n int, c es.Call[fill]) (es.Events, int, error) {
		return es.Events{put{c.In.Amount}}, n + c.In.Amount, nil
	}))
	once := es.Retry{Attempts: 2, First: time.Millisecond, Max: time.Millisecond}
	big := es.NewCommand("big",
		es.Decide("one", bulky.pot, content, func(_ int, c es.Call[bulky]) (es.Events, string, error) {
			if c.In.Do == "refuse" {
				return nil, "", es.Reject("no", "%s", strings.Repeat("why ", 1<<19))
			}
			return es.Events{put{1}}, strings.Repeat("x", c.In.Result), nil
		}).Undo("not-one", func(es.Call[bulky]) es.Events { return es.Events{taken{1}} }),
		es.Act("act", func(_ context.Context, c es.Call[bulky]) (string, error) {
			switch c.In.Do {
			case "fail":
				return "", errors.New(strings.Repeat("why ", 1<<19))
			case "reject":
				return "", es.Reject("no", "%s", strings.Repeat("why ", 1<<19))
			}
			return strings.Repeat("x", c.In.Result), nil
		}).Retry(once),
		es.Decide("two", bulky.pot, content, func(_ int, c es.Call[bulky]) (es.Events, string, error) {
			return es.Events{put{1}}, strings.Repeat("y", c.In.Result), nil
		}).Undo("not-two", func(es.Call[bulky]) es.Events { return es.Events{taken{1}} }))
	refuse := es.NewCommand("refuse", es.Decide("refuse", fill.pot, content, func(int, es.Call[fill]) (es.Events, int, error) {
		return nil, 0, es.Reject("no", "%s", strings.Repeat("<", 8000))
	}))
	refuseAll := es.NewBatch("refuse-all", func(es.Call[all]) es.Group[potID] { return pot.All() },
		refuse, func(c es.Call[all], p potID) fill { return fill{p, c.In.Amount} })
	asked := es.NewCommand("asked",
		es.Decide("give", fill.pot, content, func(n int, c es.Call[fill]) (es.Events, int, error) {
			return es.Events{put{c.In.Amount}}, n + c.In.Amount, nil
		}),
		es.Wait[fill, approval]("approve", "approved", func(es.Call[fill]) time.Duration { return time.Hour }))
	askAll := es.NewBatch("ask-all", func(es.Call[all]) es.Group[potID] { return pot.All() },
		asked, func(c es.Call[all], p potID) fill {
			if p == "poison-1" {
				panic("poisoned")
			}
			return fill{p, c.In.Amount}
		})
	quick := es.NewCommand("quick",
		es.Decide("give", fill.pot, content, func(n int, c es.Call[fill]) (es.Events, int, error) {
			return es.Events{put{c.In.Amount}}, n + c.In.Amount, nil
		}),
		es.Look("look", fill.pot, content))
	quickAll := es.NewBatch("quick-all", func(es.Call[all]) es.Group[potID] { return pot.All() },
		quick, func(c es.Call[all], p potID) fill {
			if p == "poison-1" {
				panic("poisoned")
			}
			return fill{p, c.In.Amount}
		})
	fillAll := es.NewBatch("fill-all", func(es.Call[all]) es.Group[potID] { return pot.All() },
		fillPot, func(c es.Call[all], p potID) fill { return fill{p, c.In.Amount} })
	return es.NewDomain("lab", pot, content, fillPot, big, refuse, refuseAll, asked, askAll, quick, quickAll, fillAll)
}

func newWildLab(t *testing.T, cfg workflows.Config) *lab {
	t.Helper()
	l := &lab{t: t, shop: &shop{}}
	log := slog.New(slog.DiscardHandler)
	var err error
	l.system, err = actors.New([]*catalog.Domain{wildDomain().Catalog()}, stream.NewMemory(), nil, actors.Config{Log: log})
	require.NoError(t, err)
	t.Cleanup(l.system.Close)
	engine, err := workflows.NewEmbeddedEngine(t.Context(), workflows.EmbeddedConfig{
		EngineConfig: workflows.EngineConfig{Log: log}, SQLite: filepath.Join(t.TempDir(), "engine.db"),
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, engine.Close()) })
	cfg.Log = log
	l.commands = workflows.New(l.system, engine, cfg)
	require.NoError(t, l.commands.Begin(t.Context()))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		require.NoError(t, l.commands.Close(ctx))
	})
	return l
}

// within bounds how long a lab's test may wait for what may never come.
func (l *lab) within(d time.Duration, command, id string, is func(flow.Progress) bool) flow.Progress {
	l.t.Helper()
	var p flow.Progress
	require.Eventually(l.t, func() bool {
		var err error
		p, err = l.system.Progress(l.t.Context(), command, id, nil)
		return err == nil && is(p)
	}, d, 20*time.Millisecond, "command %s", id)
	return p
}

func hasEnded(p flow.Progress) bool { return p.Ended() }

func TestAStartThatComesAgainIsKnownWhateverItsTextHolds(t *testing.T) {
	l := newLab(t)
	l.fill("<a&b>", 100)
	start := workflows.Start{Command: "lab.move", ID: "again", Params: []byte(`{"from":"<a&b>","to":"b","amount":1}`)}
	_, err := l.commands.Start(t.Context(), start)
	require.NoError(t, err)
	_, err = l.commands.Start(t.Context(), start)
	require.NoError(t, err)
	require.Equal(t, flow.StatusCompleted, l.end("lab.move", "again").Status)
}

func TestABatchWithAnyRate(t *testing.T) {
	l := newWildLab(t, workflows.Config{})
	l.fill("p", 1)
	for _, rate := range []float64{2e9, 1e300} {
		id := fmt.Sprint(rate)
		_, err := l.commands.Start(t.Context(), workflows.Start{
			Command: "lab.fill-all", ID: id, Params: encoded(t, all{1}), Options: flow.Options{RatePerSecond: rate},
		})
		require.NoError(t, err)
		require.Equal(t, flow.StatusCompleted, l.within(2*time.Minute, "lab.fill-all", id, hasEnded).Status)
	}
}

// Items of many steps begin no faster than they may, from one chunk to the next.
func TestItemsOfManyStepsKeepToTheRate(t *testing.T) {
	const rate, n = 20, 20
	l := newWildLab(t, workflows.Config{})
	var pots []string
	for i := range n {
		pots = append(pots, fmt.Sprint(i))
		l.fill(pots[i], 1)
	}
	_, err := l.commands.Start(t.Context(), workflows.Start{
		Command: "lab.quick-all", ID: "b", Params: encoded(t, all{5}), Options: flow.Options{RatePerSecond: rate},
	})
	require.NoError(t, err)
	require.Equal(t, flow.StatusCompleted, l.within(20*time.Second, "lab.quick-all", "b", hasEnded).Status)
	var begun []time.Time
	for _, p := range pots {
		events, _, err := l.system.Events(t.Context(), stream.ID{Type: flow.CommandType, Key: "b/" + p}, 1, 1)
		require.NoError(t, err)
		begun = append(begun, events[0].At)
	}
	slices.SortFunc(begun, time.Time.Compare)
	require.GreaterOrEqual(t, begun[n-1].Sub(begun[0]), (n-1)*time.Second/rate*3/4)
}

func TestAnIDThatAnItemWouldHaveIsTaken(t *testing.T) {
	l := newWildLab(t, workflows.Config{})
	l.fill("p", 1)
	l.start("lab.quick", "b/p", fill{"p", 5})
	l.end("lab.quick", "b/p")
	l.start("lab.quick-all", "b", all{5})
	p := l.within(2*time.Minute, "lab.quick-all", "b", hasEnded)
	require.Equal(t, flow.StatusCompletedWithFailures, p.Status)
	require.Equal(t, 6, l.content("p"))
}

func TestAPoisonedItemStopsNoOther(t *testing.T) {
	l := newWildLab(t, workflows.Config{})
	for _, p := range []string{"a", "poison-1", "c", "d"} {
		l.fill(p, 1)
	}
	l.start("lab.quick-all", "b", all{5})
	p := l.within(2*time.Minute, "lab.quick-all", "b", hasEnded)
	require.Equal(t, &flow.Items{Total: 4, Succeeded: 3, Failed: 1}, p.Items)
}

func TestWhatIsLargeEndsAllTheSame(t *testing.T) {
	l := newWildLab(t, workflows.Config{})
	l.fill("p", 1)
	want := 1
	for name, c := range map[string]struct {
		params bulky
		status []string
	}{
		"a large result":             {bulky{"p", "", 600 << 10, ""}, []string{flow.StatusFailed}},
		"results that add up":        {bulky{"p", "", 300 << 10, ""}, []string{flow.StatusCompensated}},
		"large parameters":           {bulky{"p", strings.Repeat("z", 900<<10), 10, ""}, []string{flow.StatusCompleted}},
		"large parameters, results":  {bulky{"p", strings.Repeat("z", 900<<10), 100 << 10, ""}, []string{flow.StatusCompleted}},
		"an error of many words":     {bulky{"p", "", 10, "fail"}, []string{flow.StatusCompensated}},
		"a rejection of many words":  {bulky{"p", "", 10, "reject"}, []string{flow.StatusCompensated}},
		"a refusal of many words":    {bulky{"p", "", 10, "refuse"}, []string{flow.StatusFailed}},
		"text that grows in storage": {bulky{"p", strings.Repeat("<", 150<<10), 0, ""}, []string{flow.StatusCompleted}},
	} {
		id := uuid.NewString()
		l.start("lab.big", id, c.params)
		p := l.within(2*time.Minute, "lab.big", id, hasEnded)
		require.Contains(t, c.status, p.Status, name)
		if p.Status == flow.StatusCompleted {
			want += 2
		}
		require.Equal(t, want, l.content("p"), name)
	}
}

func TestRefusalsOfManyWordsAreRecorded(t *testing.T) {
	l := newWildLab(t, workflows.Config{})
	for i := range 300 {
		l.fill(fmt.Sprint(strings.Repeat("<", 400), i), 1)
	}
	l.start("lab.refuse-all", "b", all{1})
	p := l.within(2*time.Minute, "lab.refuse-all", "b", hasEnded)
	require.Equal(t, 300, p.Items.Failed)
	_, err := l.commands.RetryFailed(t.Context(), "lab.refuse-all", "b", stream.Context{})
	require.NoError(t, err)
	p = l.within(2*time.Minute, "lab.refuse-all", "b", hasEnded)
	require.Equal(t, 300, p.Items.Failed)
}

func TestManyGenerationsOfABatch(t *testing.T) {
	l := newWildLab(t, workflows.Config{Chunk: 1})
	for i := range 150 {
		l.fill(fmt.Sprint(i), 1)
	}
	l.start("lab.fill-all", "b", all{1})
	p := l.within(2*time.Minute, "lab.fill-all", "b", hasEnded)
	require.Equal(t, &flow.Items{Total: 150, Succeeded: 150}, p.Items)
	for i := range 150 {
		require.Equal(t, 2, l.content(fmt.Sprint(i)))
	}
}

func TestAnItemOutlivesItsBatch(t *testing.T) {
	l := newWildLab(t, workflows.Config{SweepEvery: 50 * time.Millisecond})
	for _, p := range []string{"a", "b", "c"} {
		l.fill(p, 1)
	}
	l.start("lab.ask-all", "batch", all{5})
	waits := func(p flow.Progress) bool { return p.Status == flow.StatusWaiting }
	for _, p := range []string{"a", "b", "c"} {
		l.within(2*time.Minute, "lab.asked", "batch/"+p, waits)
	}
	_, err := l.commands.Cancel(t.Context(), "lab.ask-all", "batch", stream.Context{})
	require.NoError(t, err)
	l.within(2*time.Minute, "lab.ask-all", "batch", hasEnded)
	open := func() (ids []string) {
		for shard := range actors.Shards {
			found, err := l.system.OpenCommands(t.Context(), shard)
			require.NoError(t, err)
			ids = append(ids, found...)
		}
		return ids
	}
	require.Eventually(t, func() bool { return len(open()) == 3 }, 10*time.Second, 20*time.Millisecond, "an item is open as long as it runs")
	for _, p := range []string{"a", "b", "c"} {
		_, err := l.commands.Signal(t.Context(), "lab.asked", "batch/"+p, "approved", encoded(t, approval{"me"}), stream.Context{})
		require.NoError(t, err)
		require.Equal(t, flow.StatusCompleted, l.within(2*time.Minute, "lab.asked", "batch/"+p, hasEnded).Status)
	}
	require.Eventually(t, func() bool { return len(open()) == 0 }, 10*time.Second, 20*time.Millisecond)
}

func TestAnItemThatAnEarlierRoundBeganCountsInItsPlace(t *testing.T) {
	l := newWildLab(t, workflows.Config{SweepEvery: 50 * time.Millisecond})
	for _, p := range []string{"a", "b", "c", "d"} {
		l.fill(p, 1)
	}
	_, err := l.commands.Start(t.Context(), workflows.Start{
		Command: "lab.ask-all", ID: "batch", Params: encoded(t, all{5}), Options: flow.Options{StopAfterFailures: 1},
	})
	require.NoError(t, err)
	waits := func(p flow.Progress) bool { return p.Status == flow.StatusWaiting }
	for _, p := range []string{"a", "b", "c", "d"} {
		l.within(2*time.Minute, "lab.asked", "batch/"+p, waits)
	}
	_, err = l.commands.Cancel(t.Context(), "lab.asked", "batch/d", stream.Context{})
	require.NoError(t, err)
	p := l.within(2*time.Minute, "lab.ask-all", "batch", hasEnded)
	require.Equal(t, &flow.Items{Total: 4, Failed: 1, Pending: 3}, p.Items)
	approve := func(id string) {
		_, err := l.commands.Signal(t.Context(), "lab.asked", id, "approved", encoded(t, approval{"me"}), stream.Context{})
		require.NoError(t, err)
		l.within(2*time.Minute, "lab.asked", id, hasEnded)
	}
	for _, p := range []string{"a", "b", "c"} {
		approve("batch/" + p)
	}
	_, err = l.commands.RetryFailed(t.Context(), "lab.ask-all", "batch", stream.Context{})
	require.NoError(t, err)
	l.within(2*time.Minute, "lab.asked", "batch/d~2", waits)
	approve("batch/d~2")
	p = l.within(2*time.Minute, "lab.ask-all", "batch", hasEnded)
	require.Equal(t, &flow.Items{Total: 4, Succeeded: 4}, p.Items)
	for _, p := range []string{"a", "b", "c"} {
		require.Equal(t, 6, l.content(p), "%s was given once", p)
	}
}

func TestItemsOfTwoBatchesThatLookAlike(t *testing.T) {
	l := newWildLab(t, workflows.Config{})
	for _, p := range []string{"x", "b/x", "2/x", "x~2", "%2Fx"} {
		l.fill(p, 1)
	}
	for _, batch := range []string{"a", "a/b", "a/2"} {
		l.start("lab.quick-all", batch, all{5})
		p := l.within(2*time.Minute, "lab.quick-all", batch, hasEnded)
		require.Equal(t, &flow.Items{Total: 5, Succeeded: 5}, p.Items)
	}
}
