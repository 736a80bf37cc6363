package workflows_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/flow"
	"github.com/longrun-dev/longrun/internal/stream"
	"github.com/longrun-dev/longrun/workflows"
)

// unplugged is an engine that takes no new instances while it is out.
type unplugged struct {
	workflows.Engine
	out atomic.Bool
}

func (u *unplugged) Schedule(ctx context.Context, name, instance string, input any) error {
	if u.out.Load() {
		return errors.New("the engine is out")
	}
	return u.Engine.Schedule(ctx, name, instance, input)
}

// open are the ids that the sweeper looks at.
func (l *lab) open() []string {
	l.t.Helper()
	var all []string
	for shard := range actors.Shards {
		ids, err := l.system.OpenCommands(l.t.Context(), shard)
		require.NoError(l.t, err)
		all = append(all, ids...)
	}
	return all
}

// nothingOpen waits until every command has left the index of open ones.
func (l *lab) nothingOpen() {
	l.t.Helper()
	l.until(func() bool { return len(l.open()) == 0 })
}

// A process that dies between writing a command and telling the engine.
func TestACommandThatWasNeverScheduled(t *testing.T) {
	u := &unplugged{}
	u.out.Store(true)
	l := newLabWith(t, labConfig{around: func(e workflows.Engine) workflows.Engine { u.Engine = e; return u }})
	l.fill("a", 100)
	l.start("lab.move", "m", move{"a", "b", 30})
	l.start("lab.fill-all", "b", all{1})
	require.ElementsMatch(t, []string{"m", "b"}, l.open())
	u.out.Store(false)
	require.NoError(t, l.commands.Sweep(t.Context()))
	_, err := l.engine.State(t.Context(), "m~5-0")
	require.ErrorIs(t, err, workflows.ErrNotFound, "it is not idle for long yet")
	l.clock.advance(time.Minute)
	require.Equal(t, flow.StatusCompleted, l.end("lab.move", "m").Status)
	l.end("lab.fill-all", "b")
	l.nothingOpen()
}

// halted is a system in which steps of some commands begin and never come back.
type halted struct {
	workflows.System
	at       map[string]string // command id to step
	reached  chan string
	resolved atomic.Bool // the first group was found
}

func (h *halted) halt(ctx context.Context, id, step string) error {
	if h.at[id] != step {
		return nil
	}
	h.reached <- id
	<-ctx.Done()
	return ctx.Err()
}

func (h *halted) Do(ctx context.Context, c actors.Command) (actors.Answer, error) {
	if err := h.halt(ctx, c.ID, c.Step); err != nil {
		return actors.Answer{}, err
	}
	return h.System.Do(ctx, c)
}

func (h *halted) Look(ctx context.Context, c actors.Command) (actors.State, error) {
	if err := h.halt(ctx, c.ID, c.Step); err != nil {
		return actors.State{}, err
	}
	return h.System.Look(ctx, c)
}

func (h *halted) Members(ctx context.Context, g *catalog.Group, asOf time.Time, from map[int]uint64, use func(actors.MemberPage) error) error {
	return h.System.Members(ctx, g, asOf, from, func(p actors.MemberPage) error {
		if err := use(p); err != nil || len(p.Members) == 0 || h.resolved.Swap(true) {
			return err
		}
		return h.halt(ctx, "resolving", "members")
	})
}

func (h *halted) Start(ctx context.Context, c actors.Command, done func(actors.Answer, error)) {
	if h.at["running"] == "items" && c.ID == "running/pot-7" {
		go func() { done(actors.Answer{}, h.halt(ctx, "running", "items")) }()
		return
	}
	h.System.Start(ctx, c, done)
}

// The engine lost all that it knew, and the process died in the middle of every
// kind of step. All of it ends, by what the streams say.
func TestAnEngineThatLostAll(t *testing.T) {
	store, clock := stream.NewMemory(), &clock{}
	hung, release := make(chan string, 20), make(chan struct{})
	h := &halted{reached: make(chan string, 20), at: map[string]string{
		"deciding": "put", "undoing": "return", "looking": "look", "resolving": "members", "running": "items",
	}}
	first := newLabWith(t, labConfig{
		Config: workflows.Config{SweepIdle: patient, Chunk: 5},
		store:  store, clock: clock,
		shop: &shop{answer: func(_, key string, _ int) error {
			if key == "acting/charge" || key == "refunding/refund" {
				hung <- key
				<-release
				return errors.New("it never came back")
			}
			return nil
		}},
		system: func(s *actors.System) workflows.System { h.System = s; return h },
	})
	first.fill("a", 100)
	first.fill("full", 1000)
	first.fillMany(20)
	first.start("lab.fill-all", "resolving", all{1})
	require.Equal(t, "resolving", <-h.reached)
	reached := map[string]bool{"resolving": true}
	first.start("lab.move", "deciding", move{"a", "b", 10})
	first.start("lab.move", "undoing", move{"a", "full", 10})
	first.start("lab.order", "looking", order{"o", 1, "free"})
	first.start("lab.order", "acting", order{"o", 1, "free"})
	first.start("lab.order", "refunding", order{"full", 5, "free"})
	first.start("lab.fill-all", "running", all{1})
	later := clock.Now().Add(30 * time.Minute)
	first.startWith("lab.move", "scheduled", move{"a", "b", 1}, flow.Options{StartAt: &later})
	for len(reached) < len(h.at) {
		select {
		case id := <-h.reached:
			reached[id] = true
		case <-time.After(20 * time.Second):
			t.Fatalf("only %v came to where they should", reached)
		}
	}
	<-hung
	<-hung
	for id, way := range map[string]string{"waiting": "asked", "resting": "later"} {
		first.start("lab.order", id, order{"o", 1, way})
		first.await("lab.order", id, func(p flow.Progress) bool { return p.Step("way").Status == flow.StatusCompleted })
	}
	first.cut()
	close(release)
	first.close(t.Context())

	second := newLabWith(t, labConfig{store: store, clock: clock}) // with an empty engine
	clock.advance(10 * time.Minute)
	for id, want := range map[string][2]string{
		"deciding":  {"lab.move", flow.StatusCompleted},
		"undoing":   {"lab.move", flow.StatusCompensated},
		"looking":   {"lab.order", flow.StatusCompleted},
		"acting":    {"lab.order", flow.StatusCompleted},
		"refunding": {"lab.order", flow.StatusCompensated},
		"resting":   {"lab.order", flow.StatusCompleted},
		"resolving": {"lab.fill-all", flow.StatusCompletedWithFailures},
		"running":   {"lab.fill-all", flow.StatusCompletedWithFailures},
	} {
		require.Equal(t, want[1], second.end(want[0], id).Status, id)
	}
	require.ElementsMatch(t, []string{"waiting", "scheduled"}, second.openOnce(2))
	clock.advance(time.Hour) // the end of the wait, whose timer is lost too
	require.Equal(t, flow.StatusCompensated, second.end("lab.order", "waiting").Status)
	require.Equal(t, flow.StatusCompleted, second.end("lab.move", "scheduled").Status)
	second.nothingOpen()
	for i := range 20 {
		require.Equal(t, 12, second.content(fmt.Sprintf("pot-%d", i)), "each batch once")
	}
	require.Equal(t, 1000, second.content("full"))
}

// openOnce waits until so many commands are open, and says which.
func (l *lab) openOnce(n int) []string {
	l.t.Helper()
	l.until(func() bool { return len(l.open()) == n })
	return l.open()
}
