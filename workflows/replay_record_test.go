package workflows_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/flow"
	"github.com/longrun-dev/longrun/internal/stream"
	"github.com/longrun-dev/longrun/workflows"
)

// situation is something that instances of workflows get into.
type situation struct {
	name      string
	workflows []string // of which the longest history is kept
	cfg       labConfig
	run       func(l *lab, r *recorder)
}

// failsOnce is a system that cannot be reached when it is asked first.
type failsOnce struct {
	workflows.System
	failed atomic.Bool
}

func (f *failsOnce) CommandState(ctx context.Context, id string) (*flow.State, error) {
	if !f.failed.Swap(true) {
		return nil, errors.New("not yet")
	}
	return f.System.CommandState(ctx, id)
}

const patient = 24 * time.Hour // of a sweeper that is to keep out

func situations() []situation {
	const (
		command, batch, chunk, item, schedule = "longrun.command.v1", "longrun.batch.v1", "longrun.chunk.v1", "longrun.item.v1", "longrun.schedule.v1"
	)
	quiet := labConfig{Config: workflows.Config{SweepIdle: patient, Chunk: 2, Window: 2}}
	failing := quiet
	failing.system = func(s *actors.System) workflows.System { return &failsOnce{System: s} }
	small := quiet
	small.Chunk = 30 // three items with many steps in each
	scheduled, never := quiet, quiet
	scheduled.cron, never.cron = "0 0 1 1 *", "0 0 30 2 *"
	slow := func(l *lab) {
		l.shop.answer = func(_, _ string, _ int) error {
			l.clock.advance(30 * time.Second)
			return nil
		}
	}
	return []situation{
		{"steps", []string{command}, quiet, func(l *lab, _ *recorder) {
			l.fill("a", 10)
			l.start("lab.move", "c", move{"a", "b", 3})
			l.over("c")
		}},
		{"again", []string{command}, quiet, func(l *lab, _ *recorder) {
			slow(l)
			l.start("lab.order", "c", order{"a", 3, "free"})
			l.over("c")
		}},
		{"signalled", []string{command}, quiet, func(l *lab, r *recorder) {
			l.start("lab.order", "c", order{"a", 3, "asked"})
			l.turns(r, "c", 2)
			l.approve("lab.order", "c")
			l.over("c")
		}},
		{"delayed", []string{command}, quiet, func(l *lab, _ *recorder) {
			l.start("lab.order", "c", order{"a", 3, "later"})
			l.over("c")
		}},
		{"failed", []string{command}, failing, func(l *lab, _ *recorder) {
			l.start("lab.order", "c", order{"a", 3, "free"})
			l.over("c")
		}},
		{"continued", []string{command}, quiet, func(l *lab, r *recorder) {
			l.start("lab.order", "c", order{"a", 3, "asked"})
			l.turns(r, "c", 2)
			l.wakeOften("c")
			l.until(func() bool { return r.of("c").afresh() })
			l.approve("lab.order", "c")
			l.over("c")
		}},
		{"direct", []string{batch, chunk}, quiet, func(l *lab, _ *recorder) {
			l.fillMany(9)
			l.start("lab.fill-all", "c", all{1})
			l.over("c")
		}},
		{"empty", []string{batch}, quiet, func(l *lab, _ *recorder) {
			l.start("lab.fill-all", "c", all{1})
			l.over("c")
		}},
		{"later", []string{batch}, quiet, func(l *lab, _ *recorder) {
			at := time.Now().Add(3 * time.Second)
			l.fillMany(3)
			l.startWith("lab.fill-all", "c", all{1}, flow.Options{StartAt: &at})
			l.over("c")
		}},
		{"paused", []string{batch}, quiet, func(l *lab, r *recorder) {
			l.fillMany(40)
			l.startWith("lab.fill-all", "c", all{1}, flow.Options{RatePerSecond: 20})
			l.await("lab.fill-all", "c", func(p flow.Progress) bool { return p.Items != nil && p.Items.Succeeded > 0 })
			l.do(l.commands.Pause, "lab.fill-all", "c")
			l.until(func() bool { return r.of("c").waits() })
			l.do(l.commands.Resume, "lab.fill-all", "c")
			l.await("lab.fill-all", "c", func(p flow.Progress) bool { return p.Items.Succeeded > 4 })
			l.do(l.commands.Cancel, "lab.fill-all", "c")
			l.over("c")
		}},
		{"stopped", []string{batch}, quiet, func(l *lab, _ *recorder) {
			l.fillMany(40)
			l.startWith("lab.fill-all", "c", all{1000}, flow.Options{StopAfterFailures: 3})
			l.over("c")
		}},
		{"slow", []string{chunk}, labConfig{Config: workflows.Config{SweepIdle: patient, Chunk: 200}}, func(l *lab, _ *recorder) {
			l.fillMany(30)
			l.startWith("lab.fill-all", "c", all{1}, flow.Options{RatePerSecond: 0.4})
			l.until(func() bool { // an item at a time, and 30 s pass at each look
				l.clock.advance(30 * time.Second)
				p, err := l.system.Progress(l.t.Context(), "lab.fill-all", "c", nil)
				return err == nil && p.Items != nil && p.Items.Succeeded > 2
			})
			l.do(l.commands.Cancel, "lab.fill-all", "c")
			l.over("c")
		}},
		{"items", []string{batch, chunk, item}, small, func(l *lab, _ *recorder) {
			l.fillMany(12)
			l.start("lab.order-all", "c", orders{1, "free"})
			l.over("c")
		}},
		{"waiting", []string{batch, chunk, item}, small, func(l *lab, r *recorder) {
			l.fillMany(5)
			l.start("lab.order-all", "c", orders{1, "asked"})
			l.until(func() bool { return r.of("c").waits() })
			for i := range 5 {
				l.approve("lab.order", fmt.Sprintf("c/pot-%d", i))
			}
			l.over("c")
		}},
		{"dry", []string{chunk}, small, func(l *lab, _ *recorder) {
			l.fillMany(3)
			l.startWith("lab.order-all", "c", orders{1, "free"}, flow.Options{DryRun: true})
			l.over("c")
		}},
		{"waits", []string{schedule}, scheduled, func(l *lab, r *recorder) {
			l.until(func() bool { return r.of("~schedule~lab.tick").waits() })
			l.wakeOften("~schedule~lab.tick")
			l.until(func() bool { h := r.of("~schedule~lab.tick"); return h.afresh() && h.waits() })
		}},
		{"never", []string{schedule}, never, func(l *lab, _ *recorder) { l.over("~schedule~lab.tick") }},
	}
}

// recordHistories plays the situations of which testdata has nothing.
func recordHistories(t *testing.T) {
	for _, s := range situations() {
		files := map[string]string{}
		for _, w := range s.workflows {
			file := filepath.Join("testdata", "histories", strings.Split(w, ".")[1]+"."+s.name+".json")
			if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
				files[w] = file
			}
		}
		if len(files) == 0 {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			var r *recorder
			cfg := s.cfg
			cfg.engine = func(e *workflows.Embedded) { r = record(e) }
			l := newLabWith(t, cfg)
			s.run(l, r)
			for w, file := range files {
				h := r.longest(w)
				require.NotNil(t, h, "no instance of %s", w)
				data, err := h.text()
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(file, data, 0o644))
			}
		})
	}
}

// of is a copy of what was recorded of an instance.
func (r *recorder) of(instance string) *history {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h := r.histories[instance]; h != nil {
		return &history{Workflow: h.Workflow, Turns: h.Turns[:len(h.Turns):len(h.Turns)]}
	}
	return &history{}
}

// afresh says whether the instance has continued as new.
func (h *history) afresh() bool {
	for _, t := range h.Turns {
		if t.Afresh {
			return true
		}
	}
	return false
}

// waits says whether the instance was left waiting for an event.
func (h *history) waits() bool {
	if len(h.Turns) == 0 {
		return false
	}
	for _, a := range h.Turns[len(h.Turns)-1].Actions {
		if a.GetCreateTimer().GetExternalEvent() != nil {
			return true
		}
	}
	return false
}

// until waits until something is so.
func (l *lab) until(is func() bool) {
	l.t.Helper()
	require.Eventually(l.t, is, 30*time.Second, 20*time.Millisecond)
}

// over waits until the instance has ended, and with it what it drives.
func (l *lab) over(instance string) {
	l.t.Helper()
	l.until(func() bool {
		s, err := l.engine.State(l.t.Context(), instance)
		return err == nil && s.Status.Ended()
	})
}

// turns waits until the instance took so many.
func (l *lab) turns(r *recorder, instance string, n int) {
	l.t.Helper()
	l.until(func() bool { return len(r.of(instance).Turns) >= n })
}

// wakeOften wakes an instance more often than it lives without continuing as new.
func (l *lab) wakeOften(instance string) {
	l.t.Helper()
	for range 45 {
		require.NoError(l.t, l.engine.Raise(l.t.Context(), instance, "wake"))
	}
}

func (l *lab) approve(command, id string) {
	l.t.Helper()
	_, err := l.commands.Signal(l.t.Context(), command, id, "approved", encoded(l.t, approval{"me"}), stream.Context{})
	require.NoError(l.t, err)
}

func (l *lab) do(what func(context.Context, string, string, stream.Context) (flow.Progress, error), command, id string) flow.Progress {
	l.t.Helper()
	p, err := what(l.t.Context(), command, id, stream.Context{})
	require.NoError(l.t, err)
	return p
}

// fillMany puts 10 into each of n pots, many at a time.
func (l *lab) fillMany(n int) {
	l.t.Helper()
	done := make(chan error, n)
	for i := range n {
		l.system.Start(l.t.Context(), actors.Command{
			Name: "lab.fill", ID: uuid.NewString(), Params: encoded(l.t, fill{potID(fmt.Sprintf("pot-%d", i)), 10}),
		}, func(_ actors.Answer, err error) { done <- err })
	}
	for range n {
		require.NoError(l.t, <-done)
	}
}
