package workflows_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/flow"
	"github.com/longrun-dev/longrun/internal/stream"
	"github.com/longrun-dev/longrun/workflows"
)

const every5 = "*/5 * * * *"

// scheduled is a lab with a schedule, whose sweeper does not wait long.
func scheduled(t *testing.T, store *stream.Memory, c *clock) *lab {
	t.Helper()
	return newLabWith(t, labConfig{Config: workflows.Config{SweepIdle: time.Second}, store: store, clock: c, cron: every5})
}

// runs are the ids of the runs of the schedule after a time and up to another,
// which have all ended well.
func (l *lab) runs(after, to time.Time) []string {
	l.t.Helper()
	var ids []string
	for at := after.UTC().Truncate(5 * time.Minute).Add(5 * time.Minute); !at.After(to); at = at.Add(5 * time.Minute) {
		id := "lab.tick@" + at.Format(time.RFC3339)
		l.until(func() bool { // another host may write it, and wake nobody here
			p, err := l.system.Progress(l.t.Context(), "lab.tick", id, nil)
			return err == nil && p.Status == flow.StatusCompleted
		})
		require.Equal(l.t, 1, l.content("at-"+at.Format("15-04-05")), "each time runs once")
		ids = append(ids, id)
	}
	return ids
}

// ticks lists the runs that there are.
func (l *lab) ticks() []string {
	l.t.Helper()
	var ids []string
	items, _, err := l.system.Commands(l.t.Context(), "lab.tick", "", "", 100)
	require.NoError(l.t, err)
	for _, p := range items {
		ids = append(ids, p.ID)
	}
	return ids
}

// counting waits until the schedule counts, and says from when on.
func (l *lab) counting() time.Time {
	l.t.Helper()
	var at time.Time
	l.until(func() bool {
		var err error
		at, err = l.system.ScheduleReached(l.t.Context(), "lab.tick")
		return err == nil && !at.IsZero()
	})
	return at
}

func TestAScheduleRunsAtEachTimeOnce(t *testing.T) {
	store, c := stream.NewMemory(), &clock{}
	l := scheduled(t, store, c)
	from := l.counting()
	require.WithinDuration(t, c.Now(), from, time.Minute, "it counts from its first start")
	require.Empty(t, l.ticks())

	c.advance(5 * time.Minute)
	one := l.runs(from, from.Add(5*time.Minute))
	require.Len(t, one, 1)
	require.Equal(t, one, l.ticks())

	// What is missed while nothing runs is run when it is back.
	l.close(t.Context())
	c.advance(time.Hour)
	l = scheduled(t, store, c)
	all := l.runs(from, from.Add(65*time.Minute))
	require.Len(t, all, 13)
	require.ElementsMatch(t, all, l.ticks())
	l.nothingOpen()
}

// Two hosts on one store, each with an engine of its own, keep the same schedule.
func TestTwoHostsKeepOneSchedule(t *testing.T) {
	store, c := stream.NewMemory(), &clock{}
	hosts := []*lab{scheduled(t, store, c), scheduled(t, store, c)}
	from := hosts[0].counting()
	require.Equal(t, from, hosts[1].counting())
	c.advance(time.Hour)
	all := hosts[0].runs(from, from.Add(time.Hour))
	require.Len(t, all, 12)
	reached := func(l *lab) time.Time {
		at, err := l.system.ScheduleReached(t.Context(), "lab.tick")
		require.NoError(t, err)
		return at
	}
	for _, l := range hosts {
		l.until(func() bool { return !reached(l).Before(from.Add(55 * time.Minute)) })
		require.Equal(t, all, l.runs(from, from.Add(time.Hour)))
	}
	require.ElementsMatch(t, all, hosts[1].ticks())
}

// A run that was started and not noted, as by a process that died between the two,
// is not started again.
func TestARunThatWasNotNoted(t *testing.T) {
	store, c := stream.NewMemory(), &clock{}
	forgetful := &forgets{}
	l := newLabWith(t, labConfig{
		Config: workflows.Config{SweepIdle: time.Second}, store: store, clock: c, cron: every5,
		system: func(s *actors.System) workflows.System { forgetful.System = s; return forgetful },
	})
	from := l.counting()
	c.advance(10 * time.Minute)
	all := l.runs(from, from.Add(10*time.Minute))
	require.ElementsMatch(t, all, l.ticks())
	require.NotZero(t, forgetful.times)
}

// forgets is a system that loses the first notes of a schedule's runs.
type forgets struct {
	workflows.System
	times int
}

func (f *forgets) ReachSchedule(ctx context.Context, command string, at time.Time) error {
	if reached, err := f.ScheduleReached(ctx, command); err == nil && !reached.IsZero() && f.times < 3 {
		f.times++
		return context.DeadlineExceeded
	}
	return f.System.ReachSchedule(ctx, command, at)
}
