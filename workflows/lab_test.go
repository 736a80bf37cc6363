package workflows_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
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

// The lab's domain: pots that hold money, and commands with every kind of step.

type potID string

type put struct {
	Amount int `json:"amount"`
}

type taken struct {
	Amount int `json:"amount"`
}

func (put) EventName() string   { return "put" }
func (taken) EventName() string { return "taken" }

type move struct {
	From   potID `json:"from"`
	To     potID `json:"to"`
	Amount int   `json:"amount"`
}

func (m move) from() potID { return m.From }
func (m move) to() potID   { return m.To }

type fill struct {
	Pot    potID `json:"pot"`
	Amount int   `json:"amount"`
}

func (f fill) pot() potID { return f.Pot }

type all struct {
	Amount int `json:"amount"`
}

type order struct {
	Pot    potID  `json:"pot"`
	Amount int    `json:"amount"`
	Way    string `json:"way"`
}

func (o order) pot() potID { return o.Pot }

type approval struct {
	By string `json:"by"`
}

type orders struct {
	Amount int    `json:"amount"`
	Way    string `json:"way"`
}

// shop is the outside world of Act steps. It does for each key what it was told
// to, and remembers how often it was asked.
type shop struct {
	mu     sync.Mutex
	asked  map[string]int
	answer func(name, key string, n int) error
}

func (s *shop) ask(name, key string) error {
	s.mu.Lock()
	if s.asked == nil {
		s.asked = map[string]int{}
	}
	s.asked[key]++
	n := s.asked[key]
	s.mu.Unlock()
	if s.answer == nil {
		return nil
	}
	return s.answer(name, key, n)
}

func (s *shop) count(key string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[key]
}

// clock is the time of a lab: it runs as the real one does, and can be put
// forward.
type clock struct{ ahead atomic.Int64 }

func (c *clock) Now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

// labConfig says what a lab is made of. The zero value of every field has a
// default.
type labConfig struct {
	workflows.Config
	store  stream.Store
	file   string // of the engine
	clock  *clock
	cron   string                                  // of the command tick; "" for none
	shop   *shop                                   // the outside world
	system func(*actors.System) workflows.System   // stands before the system
	engine func(*workflows.Embedded)               // before it works
	around func(workflows.Engine) workflows.Engine // stands before the engine
	actors func(*actors.Config)
}

// lab is a system on a store in memory, with an engine in the process.
type lab struct {
	t        *testing.T
	system   *actors.System
	engine   *workflows.Embedded
	commands *workflows.Commands
	shop     *shop
	clock    *clock
	stopped  bool // its work
	ended    bool
}

func labDomain(s *shop, cron string) es.Domain {
	pot := es.NewEntity[potID]("pot", es.EventOf[put](), es.EventOf[taken]())
	content := es.NewProjection(pot, "content",
		es.On(func(n int, e put) int { return n + e.Amount }),
		es.On(func(n int, e taken) int { return n - e.Amount }))
	holds := es.NewClassifier("holds", content, func(p all, n int) es.Verdict { return es.If(n >= p.Amount) })

	fillPot := es.NewCommand("fill", es.Decide("fill", fill.pot, content, func(n int, c es.Call[fill]) (es.Events, int, error) {
		if c.In.Amount == 0 {
			return nil, n, nil
		}
		if n+c.In.Amount > 1000 {
			return nil, 0, es.Reject("full", "%d and %d are more than 1000", n, c.In.Amount)
		}
		return es.Events{put{c.In.Amount}}, n + c.In.Amount, nil
	}))
	quickly := es.Retry{Attempts: 3, First: time.Millisecond, Max: 10 * time.Millisecond}
	moveCommand := es.NewCommand("move",
		es.Decide("take", move.from, content, func(n int, c es.Call[move]) (es.Events, int, error) {
			if n < c.In.Amount {
				return nil, 0, es.Reject("empty", "%d are less than %d", n, c.In.Amount)
			}
			return es.Events{taken{c.In.Amount}}, n - c.In.Amount, nil
		}).Retry(quickly).Undo("return", func(c es.Call[move]) es.Events { return es.Events{put{c.In.Amount}} }),
		es.Decide("put", move.to, content, func(n int, c es.Call[move]) (es.Events, int, error) {
			if n+c.In.Amount > 1000 {
				return nil, 0, es.Reject("full", "%d and %d are more than 1000", n, c.In.Amount)
			}
			return es.Events{put{c.In.Amount}}, n + c.In.Amount, nil
		}).Retry(quickly))

	look := es.Look("look", order.pot, content)
	charge := es.Act("charge", func(_ context.Context, c es.Call[order]) (string, error) {
		return "receipt-" + c.ID, s.ask("charge", c.Key)
	}).Retry(quickly).
		Undo("refund", func(_ context.Context, c es.Call[order]) error { return s.ask("refund", c.Key) })
	wait := es.Wait[order, approval]("approve", "approved", func(c es.Call[order]) time.Duration {
		if c.In.Way == "short" {
			return 10 * time.Millisecond
		}
		return time.Hour
	})
	orderCommand := es.NewCommand("order", look, charge,
		es.Choose("way", func(c es.Call[order]) string { return c.In.Way },
			es.Path[order]("free"),
			es.Path("slow", es.Delay("cool", func(es.Call[order]) time.Duration { return 20 * time.Millisecond })),
			es.Path("later", es.Delay("rest", func(es.Call[order]) time.Duration { return 2500 * time.Millisecond })),
			es.Path("asked", wait),
			es.Path("short", es.Wait[order, es.None]("hurry", "hurried", func(es.Call[order]) time.Duration { return 10 * time.Millisecond }))),
		es.Decide("fill", order.pot, content, func(n int, c es.Call[order]) (es.Events, int, error) {
			if look.Of(c)+c.In.Amount > 1000 {
				return nil, 0, es.Reject("full", "%d and %d are more than 1000", n, c.In.Amount)
			}
			return es.Events{put{c.In.Amount}}, n + c.In.Amount, nil
		}).When(func(c es.Call[order]) bool { return c.In.Amount > 0 }))

	fillAll := es.NewBatch("fill-all", func(es.Call[all]) es.Group[potID] { return holds.With(all{1}) },
		fillPot, func(c es.Call[all], p potID) fill { return fill{speakable(p), c.In.Amount} })
	orderAll := es.NewBatch("order-all", func(es.Call[orders]) es.Group[potID] { return pot.All() },
		orderCommand, func(c es.Call[orders], p potID) order { return order{speakable(p), c.In.Amount, c.In.Way} })
	tick := es.NewCommand("tick", es.Decide("tick", fill.pot, content, func(n int, c es.Call[fill]) (es.Events, int, error) {
		return es.Events{put{c.In.Amount}}, n + c.In.Amount, nil
	}))
	if cron != "" {
		tick.Cron(cron, func(at time.Time) fill { return fill{potID("at-" + at.Format("15-04-05")), 1} })
	}
	return es.NewDomain("lab", pot, content, holds, fillPot, moveCommand, orderCommand, fillAll, orderAll, tick)
}

// speakable stands for a bug in an author's code that one key brings out.
func speakable(p potID) potID {
	if p == "unspeakable" {
		panic("a bug in the parameters")
	}
	return p
}

func newLab(t *testing.T) *lab {
	t.Helper()
	return newLabWith(t, labConfig{})
}

func newLabWith(t *testing.T, cfg labConfig) *lab {
	t.Helper()
	l := &lab{t: t, shop: cmp.Or(cfg.shop, &shop{}), clock: cmp.Or(cfg.clock, &clock{})}
	log := slog.New(slog.DiscardHandler)
	if cfg.store == nil {
		cfg.store = stream.NewMemory()
	}
	cfg.file = cmp.Or(cfg.file, filepath.Join(t.TempDir(), "engine.db"))
	ac := actors.Config{Log: log, Now: l.clock.Now}
	if cfg.actors != nil {
		cfg.actors(&ac)
	}
	var err error
	l.system, err = actors.New([]*catalog.Domain{labDomain(l.shop, cfg.cron).Catalog()}, cfg.store, nil, ac)
	require.NoError(t, err)
	require.NoError(t, l.system.Begin(t.Context()))
	l.engine, err = workflows.NewEmbeddedEngine(t.Context(), workflows.EmbeddedConfig{
		EngineConfig: workflows.EngineConfig{Log: log}, SQLite: cfg.file,
	})
	require.NoError(t, err)
	if cfg.engine != nil {
		cfg.engine(l.engine)
	}
	var system workflows.System = l.system
	if cfg.system != nil {
		system = cfg.system(l.system)
	}
	var engine workflows.Engine = l.engine
	if cfg.around != nil {
		engine = cfg.around(engine)
	}
	cfg.Log, cfg.Now = log, l.clock.Now
	cfg.SweepEvery, cfg.Chunk = cmp.Or(cfg.SweepEvery, 200*time.Millisecond), cmp.Or(cfg.Chunk, 20)
	l.commands = workflows.New(system, engine, cfg.Config)
	require.NoError(t, l.commands.Begin(t.Context()))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		l.close(ctx)
	})
	return l
}

// cut ends the work at once: what runs is cut off in the middle.
func (l *lab) cut() {
	if l.stopped {
		return
	}
	l.stopped = true
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = l.commands.Close(ctx) // says what still ran
}

// close ends the lab, once.
func (l *lab) close(ctx context.Context) {
	if l.ended {
		return
	}
	l.ended = true
	if !l.stopped {
		require.NoError(l.t, l.commands.Close(ctx))
	}
	require.NoError(l.t, l.engine.Close())
	l.system.Close()
}

// kill ends the lab at once. Its system is left as it is: what was cut off may
// still be at it.
func (l *lab) kill() {
	l.cut()
	l.ended = true
	require.NoError(l.t, l.engine.Close())
}

func encoded(t *testing.T, v any) json.RawMessage {
	t.Helper()
	data, err := json.Marshal(v)
	require.NoError(t, err)
	return data
}

// fill puts an amount into a pot.
func (l *lab) fill(p string, amount int) {
	l.t.Helper()
	_, err := l.system.Do(l.t.Context(), actors.Command{Name: "lab.fill", ID: uuid.NewString(), Params: encoded(l.t, fill{potID(p), amount})})
	require.NoError(l.t, err)
}

func (l *lab) content(p string) int {
	l.t.Helper()
	st, err := l.system.Project(l.t.Context(), stream.ID{Type: "lab.pot", Key: p}, "content", actors.At{})
	require.NoError(l.t, err)
	var n int
	require.NoError(l.t, json.Unmarshal(st.State, &n))
	return n
}

func (l *lab) start(command, id string, params any) flow.Progress {
	l.t.Helper()
	return l.startWith(command, id, params, flow.Options{})
}

func (l *lab) startWith(command, id string, params any, o flow.Options) flow.Progress {
	l.t.Helper()
	p, err := l.commands.Start(l.t.Context(), workflows.Start{Command: command, ID: id, Params: encoded(l.t, params), Options: o})
	require.NoError(l.t, err)
	return p
}

// await waits until a command shows what is looked for.
func (l *lab) await(command, id string, is func(flow.Progress) bool) flow.Progress {
	l.t.Helper()
	var p flow.Progress
	for e, err := range l.system.Follow(l.t.Context(), stream.ID{Type: flow.CommandType, Key: id}, 1) {
		require.NoError(l.t, err)
		_ = e
		p, err = l.system.Progress(l.t.Context(), command, id, nil)
		require.NoError(l.t, err)
		if is(p) {
			return p
		}
	}
	l.t.Fatalf("command %s never came to it: %+v", id, p)
	return p
}

func (l *lab) end(command, id string) flow.Progress {
	l.t.Helper()
	return l.await(command, id, func(p flow.Progress) bool { return p.Ended() })
}

func TestACommandOfManySteps(t *testing.T) {
	l := newLab(t)
	l.fill("a", 100)
	l.start("lab.move", "m1", move{"a", "b", 30})
	p := l.end("lab.move", "m1")
	require.Equal(t, flow.StatusCompleted, p.Status)
	require.Equal(t, 70, l.content("a"))
	require.Equal(t, 30, l.content("b"))
	require.JSONEq(t, "30", string(p.Result))

	l.start("lab.move", "m2", move{"a", "b", 500})
	require.Equal(t, flow.StatusFailed, l.end("lab.move", "m2").Status)

	l.fill("c", 990)
	l.start("lab.move", "m3", move{"a", "c", 20})
	p = l.end("lab.move", "m3")
	require.Equal(t, flow.StatusCompensated, p.Status)
	require.Equal(t, "full", p.Error.Reason)
	require.Equal(t, []string{flow.StatusCompensated, flow.StatusRejected}, []string{p.Steps[0].Status, p.Steps[1].Status})
	require.Equal(t, 70, l.content("a"))
}

func TestEveryKindOfStep(t *testing.T) {
	l := newLab(t)
	l.fill("p", 1)
	for _, way := range []string{"free", "slow"} {
		l.start("lab.order", way, order{"p", 5, way})
		require.Equal(t, flow.StatusCompleted, l.end("lab.order", way).Status)
	}
	require.Equal(t, 11, l.content("p"))
	require.Equal(t, 1, l.shop.count("free/charge"))

	l.start("lab.order", "asked", order{"p", 5, "asked"})
	l.await("lab.order", "asked", func(p flow.Progress) bool { return p.Status == flow.StatusWaiting })
	_, err := l.commands.Signal(t.Context(), "lab.order", "asked", "rejected", nil, stream.Context{})
	require.ErrorContains(t, err, "declares no signal")
	_, err = l.commands.Signal(t.Context(), "lab.order", "asked", "approved", encoded(t, approval{"me"}), stream.Context{})
	require.NoError(t, err)
	p := l.end("lab.order", "asked")
	require.Equal(t, flow.StatusCompleted, p.Status)
	require.JSONEq(t, `{"signal":{"by":"me"}}`, string(p.Step("approve").Result))

	l.start("lab.order", "short", order{"p", 5, "short"})
	p = l.end("lab.order", "short")
	require.Equal(t, flow.StatusCompensated, p.Status)
	require.Equal(t, "timed-out", p.Error.Reason)
	require.Equal(t, 1, l.shop.count("short/refund"))
}

func TestABatch(t *testing.T) {
	l := newLab(t)
	const n = 150
	for i := range n {
		l.fill(fmt.Sprintf("pot-%d", i), 10)
	}
	l.fill("full", 1000)
	l.fill("empty", 0)
	l.start("lab.fill-all", "b1", all{5})
	p := l.end("lab.fill-all", "b1")
	require.Equal(t, flow.StatusCompletedWithFailures, p.Status)
	require.Equal(t, &flow.Items{Total: n + 1, Succeeded: n, Failed: 1}, p.Items)
	for i := range n {
		require.Equal(t, 15, l.content(fmt.Sprintf("pot-%d", i)))
	}
	failures, next, err := l.commands.Failures(t.Context(), "lab.fill-all", "b1", "", 10)
	require.NoError(t, err)
	require.Empty(t, next)
	require.Len(t, failures, 1)
	require.Equal(t, "full", failures[0].Key)
	require.Equal(t, "full", failures[0].Reason)

	_, err = l.commands.RetryFailed(t.Context(), "lab.fill-all", "b1", stream.Context{})
	require.NoError(t, err)
	p = l.await("lab.fill-all", "b1", func(p flow.Progress) bool { return p.Ended() })
	require.Equal(t, flow.StatusCompletedWithFailures, p.Status)
	require.Equal(t, &flow.Items{Total: n + 1, Succeeded: n, Failed: 1}, p.Items)

	l.start("lab.order-all", "b2", orders{1, "free"})
	p = l.end("lab.order-all", "b2")
	require.Equal(t, &flow.Items{Total: n + 1, Succeeded: n, Failed: 1}, p.Items)
}

func decode(t *testing.T, data []byte, into any) {
	t.Helper()
	require.NoError(t, json.Unmarshal(data, into))
}
