package workflows_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dapr/durabletask-go/workflow"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/workflows"
)

// patience is how long anything here may take on a busy machine.
const patience = 90 * time.Second

// limits are small, so that the suite meets them.
var limits = workflows.EngineConfig{Turns: 16, Activities: 16, Log: slog.New(slog.DiscardHandler)}

// testEngine is what every engine must pass.
func testEngine(t *testing.T, engine workflows.Engine) {
	b := newBench(t, engine)
	stop := b.work(t)
	t.Run("three activities", b.threeActivities)
	t.Run("an event wakes whom it finds waiting", b.eventWhileWaiting)
	t.Run("an event is kept for whom asks later", b.eventBeforeWaiting)
	t.Run("a wait ends without an event", b.eventTimeout)
	t.Run("a child", b.child)
	t.Run("a timer", b.timer)
	t.Run("continued as new", b.continuedAsNew)
	t.Run("an activity is tried again", b.retried)
	t.Run("a failure", b.failure)
	t.Run("an active id is taken, an ended one is free", b.ids)
	t.Run("what is unknown or over", b.unknown)
	t.Run("terminated and purged", b.terminated)
	t.Run("no more at once than there is room for", b.bounded)
	t.Run("history", b.history)
	t.Run("a long id", b.longID)
	b.end(t, stop)

	t.Run("scheduled while nobody works", b.scheduledBeforeWork)
	t.Run("stopping waits for what runs", b.graceful)
	t.Run("stopped in the middle, and finished later", b.stoppedInTheMiddle)
}

// bench is an engine and what the workflows on it do.
type bench struct {
	engine workflows.Engine
	reg    *workflow.Registry
	run    string // makes ids of this run unique

	mu    sync.Mutex
	gates map[string]*gate // by instance
	tries sync.Map         // instance -> *atomic.Int32

	running, most atomic.Int32
}

// gate holds an activity.
type gate struct{ reached, open chan struct{} }

func newBench(t *testing.T, engine workflows.Engine) *bench {
	b := &bench{engine: engine, reg: workflow.NewRegistry(), run: uuid.NewString()[:8], gates: map[string]*gate{}}
	activities := map[string]workflow.Activity{"add": b.add, "hold": b.hold, "flaky": b.flaky, "count": b.count}
	for name, a := range activities {
		require.NoError(t, b.reg.AddActivityN(name, a))
	}
	for name, w := range map[string]workflow.Workflow{
		"three": three, "wait": wait, "late": late, "parent": parent, "nap": nap, "again": again,
		"flaky": flaky, "panics": panics, "held": held, "wide": wide, "empty": func(*workflow.WorkflowContext) (any, error) { return "done", nil },
	} {
		require.NoError(t, b.reg.AddWorkflowN(name, workflows.Guard(slog.New(slog.DiscardHandler), w)))
	}
	return b
}

// The workflows.

func three(ctx *workflow.WorkflowContext) (any, error) {
	n := 0
	for range 3 {
		if err := ctx.CallActivity("add", workflow.WithActivityInput(n)).Await(&n); err != nil {
			return nil, err
		}
	}
	return n, nil
}

func wait(ctx *workflow.WorkflowContext) (any, error) {
	var patience time.Duration
	if err := ctx.GetInput(&patience); err != nil {
		return nil, err
	}
	if err := ctx.WaitForExternalEvent("go", patience).Await(nil); err != nil {
		return "in vain", nil //nolint:nilerr // that nothing came is what the workflow answers
	}
	return "gone", nil
}

func late(ctx *workflow.WorkflowContext) (any, error) {
	if err := ctx.CallActivity("hold", workflow.WithActivityInput(ctx.ID())).Await(nil); err != nil {
		return nil, err
	}
	if err := ctx.WaitForExternalEvent("go", time.Minute).Await(nil); err != nil {
		return "in vain", nil //nolint:nilerr // that nothing came is what the workflow answers
	}
	return "gone", nil
}

func parent(ctx *workflow.WorkflowContext) (any, error) {
	var n int
	err := ctx.CallChildWorkflow("three", workflow.WithChildWorkflowInstanceID(ctx.ID()+"~child")).Await(&n)
	return n * 10, err
}

func nap(ctx *workflow.WorkflowContext) (any, error) {
	began := ctx.CurrentTimeUTC()
	if err := ctx.CreateTimer(700 * time.Millisecond).Await(nil); err != nil {
		return nil, err
	}
	return ctx.CurrentTimeUTC().Sub(began).Milliseconds(), nil
}

func again(ctx *workflow.WorkflowContext) (any, error) {
	var n int
	if err := ctx.GetInput(&n); err != nil {
		return nil, err
	}
	if err := ctx.CallActivity("add", workflow.WithActivityInput(n)).Await(&n); err != nil {
		return nil, err
	}
	if n < 4 {
		ctx.ContinueAsNew(n)
		return nil, nil
	}
	return n, nil
}

func flaky(ctx *workflow.WorkflowContext) (any, error) {
	var n int
	err := ctx.CallActivity("flaky", workflow.WithActivityInput(ctx.ID()), workflow.WithActivityRetryPolicy(&workflow.RetryPolicy{
		MaxAttempts: 5, InitialRetryInterval: 10 * time.Millisecond, BackoffCoefficient: 1,
	})).Await(&n)
	return n, err
}

func panics(*workflow.WorkflowContext) (any, error) { panic("a bug in a workflow") }

func held(ctx *workflow.WorkflowContext) (any, error) {
	var n int
	if err := ctx.CallActivity("add", workflow.WithActivityInput(1)).Await(&n); err != nil {
		return nil, err
	}
	if err := ctx.CallActivity("hold", workflow.WithActivityInput(ctx.ID())).Await(nil); err != nil {
		return nil, err
	}
	err := ctx.CallActivity("add", workflow.WithActivityInput(n)).Await(&n)
	return n, err
}

func wide(ctx *workflow.WorkflowContext) (any, error) {
	tasks := make([]workflow.Task, 3*limits.Activities)
	for i := range tasks {
		tasks[i] = ctx.CallActivity("count")
	}
	for _, task := range tasks {
		if err := task.Await(nil); err != nil {
			return nil, err
		}
	}
	return len(tasks), nil
}

// The activities.

func (b *bench) add(ctx workflow.ActivityContext) (any, error) {
	var n int
	err := ctx.GetInput(&n)
	return n + 1, err
}

// hold tells the instance's gate and waits until it is open. When its work is
// stopped before, it fails like any call would.
func (b *bench) hold(ctx workflow.ActivityContext) (any, error) {
	var instance string
	if err := ctx.GetInput(&instance); err != nil {
		return nil, err
	}
	g := b.gate(instance)
	select {
	case g.reached <- struct{}{}:
	default: // nobody waits any more
	}
	select {
	case <-g.open:
		return nil, nil
	case <-ctx.Context().Done():
		return nil, ctx.Context().Err()
	}
}

func (b *bench) flaky(ctx workflow.ActivityContext) (any, error) {
	var instance string
	if err := ctx.GetInput(&instance); err != nil {
		return nil, err
	}
	tries, _ := b.tries.LoadOrStore(instance, new(atomic.Int32))
	n := tries.(*atomic.Int32).Add(1)
	if n < 3 {
		return nil, fmt.Errorf("try %d fails", n)
	}
	return n, nil
}

func (b *bench) count(workflow.ActivityContext) (any, error) {
	n := b.running.Add(1)
	defer b.running.Add(-1)
	for most := b.most.Load(); n > most && !b.most.CompareAndSwap(most, n); most = b.most.Load() {
	}
	time.Sleep(5 * time.Millisecond) // it takes some time, so that they meet
	return nil, nil
}

func (b *bench) gate(instance string) *gate {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gates[instance] == nil {
		b.gates[instance] = &gate{reached: make(chan struct{}, 1), open: make(chan struct{})}
	}
	return b.gates[instance]
}

// What the tests do.

func (b *bench) work(t *testing.T) (stop func(context.Context) error) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stop, err := b.engine.Work(ctx, b.reg)
	require.NoError(t, err)
	return stop
}

func (b *bench) end(t *testing.T, stop func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	require.NoError(t, stop(ctx))
}

func (b *bench) id(t *testing.T) string {
	name := strings.ToLower(t.Name()[strings.LastIndex(t.Name(), "/")+1:])
	return b.run + "~" + strings.ReplaceAll(strings.ReplaceAll(name, "_", "-"), ",", "")
}

func (b *bench) start(t *testing.T, name string, input any) (id string) {
	id = b.id(t)
	require.NoError(t, b.engine.Schedule(t.Context(), name, id, input))
	return id
}

// until waits until the instance is as asked.
func (b *bench) until(t testing.TB, id string, ok func(workflows.State) bool) workflows.State {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var last workflows.State
	var err error
	for {
		s, failed := b.engine.State(ctx, id)
		switch {
		case failed == nil && ok(s):
			return s
		case ctx.Err() != nil:
			require.Failf(t, "not in time", "%s is %+v, %v", id, last, err)
		}
		last, err = s, failed
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

func ended(s workflows.State) bool { return s.Status.Ended() }

func (b *bench) gives(t testing.TB, id, output string) {
	t.Helper()
	s := b.until(t, id, ended)
	require.Equal(t, workflows.StatusCompleted, s.Status, "%s: %s", id, s.Failure)
	require.Equal(t, output, s.Output, id)
}

func (b *bench) reach(t *testing.T, id string) *gate {
	t.Helper()
	g := b.gate(id)
	select {
	case <-g.reached:
	case <-time.After(patience):
		require.Fail(t, "the activity does not run", id)
	}
	return g
}

func (b *bench) threeActivities(t *testing.T) {
	before := time.Now().Add(-time.Second)
	id := b.start(t, "three", nil)
	b.gives(t, id, "3")
	s, err := b.engine.State(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, "three", s.Name)
	require.WithinRange(t, s.Created, before, time.Now())
	require.WithinRange(t, s.Updated, s.Created, time.Now().Add(time.Second))
}

func (b *bench) eventWhileWaiting(t *testing.T) {
	id := b.start(t, "wait", time.Minute)
	b.untilRecorded(t, id, "TimerCreated")
	require.NoError(t, b.engine.Raise(t.Context(), id, "go"))
	b.gives(t, id, `"gone"`)
}

// untilRecorded waits until the history has an event.
func (b *bench) untilRecorded(t *testing.T, id, event string) {
	t.Helper()
	b.until(t, id, func(workflows.State) bool {
		h, err := b.engine.History(t.Context(), id)
		for _, r := range h {
			if r.Event == event {
				return true
			}
		}
		return err != nil && !errors.Is(err, workflows.ErrNotFound)
	})
}

func (b *bench) eventBeforeWaiting(t *testing.T) {
	id := b.start(t, "late", nil)
	g := b.reach(t, id)
	require.NoError(t, b.engine.Raise(t.Context(), id, "go"))
	close(g.open)
	b.gives(t, id, `"gone"`)
}

func (b *bench) eventTimeout(t *testing.T) {
	b.gives(t, b.start(t, "wait", 300*time.Millisecond), `"in vain"`)
}

func (b *bench) child(t *testing.T) {
	id := b.start(t, "parent", nil)
	b.gives(t, id, "30")
	b.gives(t, id+"~child", "3")
}

func (b *bench) timer(t *testing.T) {
	s := b.until(t, b.start(t, "nap", nil), ended)
	require.Equal(t, workflows.StatusCompleted, s.Status)
	var ms int
	_, err := fmt.Sscan(s.Output, &ms)
	require.NoError(t, err)
	require.GreaterOrEqual(t, ms, 700)
}

func (b *bench) continuedAsNew(t *testing.T) { b.gives(t, b.start(t, "again", 0), "4") }

func (b *bench) retried(t *testing.T) { b.gives(t, b.start(t, "flaky", nil), "3") }

func (b *bench) failure(t *testing.T) {
	s := b.until(t, b.start(t, "panics", nil), ended)
	require.Equal(t, workflows.StatusFailed, s.Status)
	require.Contains(t, s.Failure, "panicked")
}

func (b *bench) ids(t *testing.T) {
	id := b.start(t, "wait", time.Minute)
	require.ErrorIs(t, b.engine.Schedule(t.Context(), "wait", id, time.Minute), workflows.ErrExists)
	require.ErrorIs(t, b.engine.Schedule(t.Context(), "empty", id, nil), workflows.ErrExists)
	b.until(t, id, func(s workflows.State) bool { return s.Status == workflows.StatusRunning })
	require.ErrorIs(t, b.engine.Schedule(t.Context(), "wait", id, time.Minute), workflows.ErrExists)
	require.NoError(t, b.engine.Raise(t.Context(), id, "go"))
	b.gives(t, id, `"gone"`)

	require.NoError(t, b.engine.Schedule(t.Context(), "three", id, nil))
	b.until(t, id, func(s workflows.State) bool { return s.Output == "3" })
}

func (b *bench) unknown(t *testing.T) {
	id := b.id(t)
	_, err := b.engine.State(t.Context(), id)
	require.ErrorIs(t, err, workflows.ErrNotFound)
	_, err = b.engine.History(t.Context(), id)
	require.ErrorIs(t, err, workflows.ErrNotFound)
	require.ErrorIs(t, b.engine.Raise(t.Context(), id, "go"), workflows.ErrNotFound)
	require.ErrorIs(t, b.engine.Terminate(t.Context(), id), workflows.ErrNotFound)
	require.ErrorIs(t, b.engine.Purge(t.Context(), id), workflows.ErrNotFound)

	require.NoError(t, b.engine.Schedule(t.Context(), "empty", id, nil))
	b.gives(t, id, `"done"`)
	require.ErrorIs(t, b.engine.Raise(t.Context(), id, "go"), workflows.ErrNotFound)
	require.ErrorIs(t, b.engine.Terminate(t.Context(), id), workflows.ErrNotFound)
}

func (b *bench) terminated(t *testing.T) {
	id := b.start(t, "wait", time.Hour)
	require.ErrorIs(t, b.engine.Purge(t.Context(), id), workflows.ErrExists)
	require.NoError(t, b.engine.Terminate(t.Context(), id))
	s, err := b.engine.State(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, workflows.StatusTerminated, s.Status)
	require.NoError(t, b.engine.Purge(t.Context(), id))
	_, err = b.engine.State(t.Context(), id)
	require.ErrorIs(t, err, workflows.ErrNotFound)
}

func (b *bench) bounded(t *testing.T) {
	b.gives(t, b.start(t, "wide", nil), fmt.Sprint(3*limits.Activities))
	require.LessOrEqual(t, int(b.most.Load()), limits.Activities)
	require.Greater(t, int(b.most.Load()), 1)
}

func (b *bench) history(t *testing.T) {
	id := b.start(t, "three", nil)
	b.gives(t, id, "3")
	h, err := b.engine.History(t.Context(), id)
	require.NoError(t, err)
	var scheduled []string
	for _, r := range h {
		if r.Event == "TaskScheduled" {
			scheduled = append(scheduled, r.Name)
		}
	}
	require.Equal(t, []string{"add", "add", "add"}, scheduled)
	require.Equal(t, "ExecutionCompleted", h[len(h)-1].Event)
}

func (b *bench) longID(t *testing.T) {
	id := b.run + "~_.-" + strings.Repeat("x", workflows.MaxInstance)
	require.Error(t, b.engine.Schedule(t.Context(), "three", id, nil))
	require.Error(t, b.engine.Schedule(t.Context(), "three", "", nil))
	id = id[:workflows.MaxInstance]
	for _, name := range []string{"three", "flaky"} {
		require.NoError(t, b.engine.Schedule(t.Context(), name, id, nil))
		b.gives(t, id, "3")
	}
}

func (b *bench) scheduledBeforeWork(t *testing.T) {
	id := b.id(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := b.engine.Schedule(ctx, "three", id, nil); err != nil { // a sidecar waits for a worker
		require.NotErrorIs(t, err, workflows.ErrExists)
	}
	defer b.end(t, b.work(t))
	if err := b.engine.Schedule(t.Context(), "three", id, nil); err != nil {
		require.ErrorIs(t, err, workflows.ErrExists)
	}
	b.gives(t, id, "3")
}

func (b *bench) graceful(t *testing.T) {
	stop := b.work(t)
	id := b.start(t, "held", nil)
	g := b.reach(t, id)
	stopped := make(chan error, 1)
	go func() { stopped <- stop(context.WithoutCancel(t.Context())) }()
	select {
	case err := <-stopped:
		require.Fail(t, "stop did not wait", "%v", err)
	case <-time.After(100 * time.Millisecond): // nothing shows that it waits
	}
	close(g.open)
	require.NoError(t, <-stopped)
	defer b.end(t, b.work(t))
	b.gives(t, id, "3")
}

func (b *bench) stoppedInTheMiddle(t *testing.T) {
	stop := b.work(t)
	id := b.start(t, "held", nil)
	b.reach(t, id)
	now, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, stop(now), context.Canceled)
	defer b.end(t, b.work(t))
	g := b.reach(t, id)
	close(g.open)
	b.gives(t, id, "3")
}

// measure logs how long instances of three activities take.
func (b *bench) measure(t *testing.T, engine string) {
	defer b.end(t, b.work(t))
	b.gives(t, b.start(t, "three", nil), "3") // a sidecar hosts nothing until somebody works
	for _, count := range []int{1, 50} {
		began := time.Now()
		var all sync.WaitGroup
		for i := range count {
			all.Go(func() {
				id := fmt.Sprintf("%s~measure-%d-%d", b.run, count, i)
				if err := b.engine.Schedule(t.Context(), "three", id, nil); err != nil {
					t.Error(err)
					return
				}
				for {
					s, err := b.engine.State(t.Context(), id)
					if err == nil && s.Status.Ended() {
						return
					}
					if t.Context().Err() != nil {
						t.Error(id, s, err)
						return
					}
					time.Sleep(25 * time.Millisecond) // asking costs too
				}
			})
		}
		all.Wait()
		t.Logf("%s: %d instances of three activities in %s", engine, count, time.Since(began).Round(time.Millisecond))
	}
}
