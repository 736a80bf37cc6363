package workflows_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/flow"
	"github.com/longrun-dev/longrun/internal/stream"
	"github.com/longrun-dev/longrun/workflows"
)

// deaf is a system of which one step's answers never come.
type deaf struct {
	workflows.System
	step     string
	lands    bool              // what is asked is done, all the same
	settling func(n int) error // stands before each settling

	mu      sync.Mutex
	tries   []actors.Command
	settles int
}

func (d *deaf) Do(ctx context.Context, c actors.Command) (actors.Answer, error) {
	if c.Step != d.step {
		return d.System.Do(ctx, c)
	}
	d.mu.Lock()
	if c.Settle {
		d.settles++
	} else {
		d.tries = append(d.tries, c)
	}
	n := d.settles
	d.mu.Unlock()
	if c.Settle {
		if d.settling != nil {
			if err := d.settling(n); err != nil {
				return actors.Answer{}, err
			}
		}
		return d.System.Do(ctx, c)
	}
	if d.lands {
		_, _ = d.System.Do(ctx, c)
	}
	return actors.Answer{}, catalog.Faultf(catalog.Unavailable, "no answer came")
}

func deafLab(t *testing.T, d *deaf, cfg labConfig) *lab {
	t.Helper()
	cfg.system = func(s *actors.System) workflows.System {
		d.System = s
		return d
	}
	l := newLabWith(t, cfg)
	l.fill("a", 100)
	return l
}

// story is the names of the events of a stream.
func (l *lab) story(id stream.ID) []string {
	l.t.Helper()
	events, _, err := l.system.Events(l.t.Context(), id, 1, 0)
	require.NoError(l.t, err)
	names := make([]string, len(events))
	for i := range events {
		names[i] = events[i].Event.Name
	}
	return names
}

func pot(key string) stream.ID      { return stream.ID{Type: "lab.pot", Key: key} }
func commandOf(id string) stream.ID { return stream.ID{Type: flow.CommandType, Key: id} }
func begun(events ...string) []string {
	return append([]string{"created", "parameters-set", "validated", "step-initiated", "step-completed", "step-initiated", "step-failed", "step-failed", "step-failed"}, events...)
}

// A step whose outcome is unknown did happen: the command goes on from it.
func TestAStepThatLandedIsFound(t *testing.T) {
	d := &deaf{step: "put", lands: true}
	l := deafLab(t, d, labConfig{})
	l.start("lab.move", "m", move{"a", "b", 30})
	p := l.end("lab.move", "m")
	require.Equal(t, flow.StatusCompleted, p.Status)
	require.JSONEq(t, "30", string(p.Result), "the result of the try of which no answer came")
	require.Equal(t, begun("step-completed", "completed"), l.story(commandOf("m")))
	require.Equal(t, []string{"put"}, l.story(pot("b")))
	require.Equal(t, 30, l.content("b"))
	require.Len(t, d.tries, 3)
	require.Equal(t, 1, d.settles)
}

// It did not happen: it never will, and what was done before it is undone.
func TestAStepThatDidNotLandIsSettled(t *testing.T) {
	d := &deaf{step: "put"}
	l := deafLab(t, d, labConfig{})
	l.start("lab.move", "m", move{"a", "b", 30})
	p := l.end("lab.move", "m")
	require.Equal(t, flow.StatusCompensated, p.Status)
	require.Equal(t, begun("step-settled", "compensation-started", "compensation-completed", "compensated"), l.story(commandOf("m")))
	require.Equal(t, []string{"put", "taken", "put"}, l.story(pot("a")))
	require.Equal(t, 100, l.content("a"))

	for _, late := range d.tries {
		_, err := l.system.Do(t.Context(), late)
		require.ErrorContains(t, err, "was given up before it came here")
	}
	_, _, err := l.system.Events(t.Context(), pot("b"), 1, 0)
	require.ErrorContains(t, err, `no lab.pot "b"`)
	events := begun("step-settled", "compensation-started", "compensation-completed", "compensated")
	require.Equal(t, events, l.story(commandOf("m")), "nothing follows the end")
}

// Until it is settled nobody undoes anything, however long that takes.
func TestNothingIsUndoneBeforeAStepIsSettled(t *testing.T) {
	d := &deaf{step: "put", lands: true}
	var l *lab
	d.settling = func(n int) error {
		if n < 3 {
			if got := l.content("a"); got != 70 {
				t.Errorf("%d are in the pot while nobody knows", got)
			}
			return catalog.Faultf(catalog.Unavailable, "not yet")
		}
		return nil
	}
	l = deafLab(t, d, labConfig{})
	l.start("lab.move", "m", move{"a", "b", 30})
	require.Equal(t, flow.StatusCompleted, l.end("lab.move", "m").Status)
	require.Equal(t, begun("step-failed", "step-failed", "step-completed", "completed"), l.story(commandOf("m")))
	require.Equal(t, []int{70, 30}, []int{l.content("a"), l.content("b")})
}

// A rejection of which no answer came stands too.
func TestARejectionThatWasNotHeardIsSettled(t *testing.T) {
	d := &deaf{step: "put", lands: true}
	l := deafLab(t, d, labConfig{})
	l.fill("b", 990)
	d.settling = func(int) error { // by now it would be accepted
		_, err := l.system.Do(t.Context(), actors.Command{Name: "lab.move", ID: "other", Step: "take", Params: encoded(t, move{"b", "c", 900})})
		return err
	}
	l.start("lab.move", "m", move{"a", "b", 30})
	require.Equal(t, flow.StatusCompensated, l.end("lab.move", "m").Status)
	require.Equal(t, []int{100, 90}, []int{l.content("a"), l.content("b")})
}

// More was appended since than an entity remembers, and it may have been put away
// and opened again meanwhile.
func TestSettlingLooksBackFarEnough(t *testing.T) {
	for _, lands := range []bool{true, false} {
		for _, open := range []int{1000, 4} {
			t.Run(fmt.Sprintf("lands %t, %d open", lands, open), func(t *testing.T) {
				store := stream.NewMemory()
				d := &deaf{step: "put", lands: lands}
				l := deafLab(t, d, labConfig{store: store, actors: func(c *actors.Config) { c.MaxOpen = open }})
				d.settling = func(int) error {
					for range stream.MaxRecent + 50 {
						l.fill("b", 1)
					}
					for i := range 2 * open { // b is put away
						if open < 10 {
							l.fill(fmt.Sprint("other-", i), 1)
						}
					}
					return nil
				}
				l.start("lab.move", "m", move{"a", "b", 30})
				p := l.end("lab.move", "m")
				if lands {
					require.Equal(t, flow.StatusCompleted, p.Status)
					require.Equal(t, []int{70, stream.MaxRecent + 80}, []int{l.content("a"), l.content("b")})
				} else {
					require.Equal(t, flow.StatusCompensated, p.Status)
					for range stream.MaxRecent + 50 {
						l.fill("b", 1)
					}
					_, err := l.system.Do(t.Context(), d.tries[0])
					require.ErrorContains(t, err, "was given up before it came here")
					require.Equal(t, []int{100, 2 * (stream.MaxRecent + 50)}, []int{l.content("a"), l.content("b")})
				}
			})
		}
	}
}

// What an Act step did outside cannot be settled: it is undone, too, and named.
func TestAnEffectOfWhichNobodyKnowsIsUndone(t *testing.T) {
	l := newLab(t)
	l.shop.answer = func(name, _ string, _ int) error {
		if name == "charge" {
			return context.DeadlineExceeded
		}
		return nil
	}
	l.start("lab.order", "o", order{"p", 5, "free"})
	p := l.end("lab.order", "o")
	require.Equal(t, flow.StatusCompensated, p.Status)
	require.Equal(t, 3, l.shop.count("o/charge"))
	require.Equal(t, 1, l.shop.count("o/refund"))
}
