package workflows

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/flow"
	"github.com/longrun-dev/longrun/internal/stream"
)

// System is what commands that run on need of the actors; *actors.System is one.
type System interface {
	Do(ctx context.Context, c actors.Command) (actors.Answer, error)
	Start(ctx context.Context, c actors.Command, done func(actors.Answer, error))
	Look(ctx context.Context, c actors.Command) (actors.State, error)
	Instruct(ctx context.Context, i actors.Instruction) (*flow.State, error)
	CommandState(ctx context.Context, id string) (*flow.State, error)
	Claim(id string)
	Unclaim(id string)
	Events(ctx context.Context, id stream.ID, from uint64, limit int) ([]stream.Recorded, uint64, error)
	Members(ctx context.Context, g *catalog.Group, asOf time.Time, from map[int]uint64, use func(actors.MemberPage) error) error
	OpenCommand(ctx context.Context, id string) error
	CloseCommand(id string)
	OpenCommands(ctx context.Context, shard int) ([]string, error)
	ScheduleReached(ctx context.Context, command string) (time.Time, error)
	ReachSchedule(ctx context.Context, command string, at time.Time) error
	Catalog() *catalog.Catalog
}

// Config of Commands. The zero value of a field means its default.
type Config struct {
	Log        *slog.Logger
	Now        func() time.Time
	SweepEvery time.Duration // how often open commands are looked at; 20 s
	SweepIdle  time.Duration // how long nothing may happen to a command that has something to do; 45 s
	Chunk      int           // items of a chunk of direct items; 500. A tenth of it for items with many steps
	Window     int           // chunks of one batch at the same time; 4
	ItemPause  time.Duration // before an item that cannot be reached is tried again, longer each time; 1 s
}

// Commands runs commands that run on: with many steps, over groups, at a later
// time. What happens to them is decided by their own streams; the engine only
// drives them. All its methods may be called at the same time; every error they
// answer with is a *catalog.Fault.
type Commands struct {
	system  System
	engine  Engine
	log     *slog.Logger
	now     func() time.Time
	cfg     Config
	batches batchCache

	stop  context.CancelFunc // of what runs in the background
	wait  sync.WaitGroup
	unuse func(context.Context) error // stops the engine's work
}

// New makes Commands over a system and an engine. Begin starts them.
func New(system System, engine Engine, cfg Config) *Commands {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.SweepEvery == 0 {
		cfg.SweepEvery = 20 * time.Second
	}
	if cfg.SweepIdle == 0 {
		cfg.SweepIdle = 45 * time.Second
	}
	if cfg.Chunk == 0 {
		cfg.Chunk = 500
	}
	if cfg.Window == 0 {
		cfg.Window = 4
	}
	if cfg.ItemPause == 0 {
		cfg.ItemPause = time.Second
	}
	return &Commands{system: system, engine: engine, log: cfg.Log, now: cfg.Now, cfg: cfg}
}

// Begin works for the engine, keeps the schedules of the catalog's commands, and
// sweeps, until Close.
func (c *Commands) Begin(ctx context.Context) error {
	if err := c.checkSchedules(); err != nil {
		return err
	}
	registry, err := c.registry()
	if err != nil {
		return err
	}
	if c.unuse, err = c.engine.Work(ctx, registry); err != nil {
		return err
	}
	ctx, c.stop = context.WithCancel(context.WithoutCancel(ctx))
	c.wait.Go(func() { c.sweepAlways(ctx) })
	return nil
}

// Close takes no new work and lets what runs end, within ctx; what does not is
// done again where work goes on.
func (c *Commands) Close(ctx context.Context) error {
	if c.stop != nil {
		c.stop()
	}
	c.wait.Wait()
	if c.unuse == nil {
		return nil
	}
	return c.unuse(ctx)
}

// Start asks for a command that runs on.
type Start struct {
	Command string
	ID      string          // unique across command names
	Params  json.RawMessage // checked against the command's schema, in one canonical form
	Options flow.Options
	Context stream.Context
	CauseAt time.Time
	Invalid *catalog.Fault // the parameters were found wrong: the command is recorded, and has ended
}

// Start returns once the command is durable: whatever dies then, it will run. The
// same id again gets the progress as it is; with other parameters or options it
// is a conflict.
func (c *Commands) Start(ctx context.Context, s Start) (flow.Progress, error) {
	if def := c.system.Catalog().Commands[s.Command]; def != nil && def.Batch == nil {
		c.system.Claim(s.ID)
	}
	// Before it is there: a crash between the two leaves nothing that nobody drives.
	if err := c.system.OpenCommand(ctx, s.ID); err != nil {
		return flow.Progress{}, err
	}
	st, err := c.system.Instruct(ctx, actors.Instruction{
		ID: s.ID, Op: actors.OpStart, Context: s.Context, CauseAt: s.CauseAt,
		Data: actors.Starting{Command: s.Command, Parameters: s.Params, Options: s.Options, Invalid: s.Invalid},
	})
	if err != nil {
		return flow.Progress{}, err
	}
	if st.Progress.Ended() {
		c.system.CloseCommand(s.ID)
		return st.Progress, nil
	}
	if err := c.schedule(ctx, st, instanceFor(st)); err != nil {
		c.log.Warn("a command was not handed to the workflow engine: the sweeper will", "command", s.Command, "id", s.ID, "error", err)
	}
	return st.Progress, nil
}

// schedule hands a command to the engine as an instance; that it runs already is
// fine.
func (c *Commands) schedule(ctx context.Context, st *flow.State, instance string) error {
	name := workflowCommand
	if def := c.system.Catalog().Commands[st.Progress.Command]; def != nil && def.Batch != nil {
		name = workflowBatch
	}
	err := c.engine.Schedule(ctx, name, instance, driveInput{ID: st.Progress.ID})
	if errors.Is(err, ErrExists) {
		return nil
	}
	return err
}

// Signal sends a signal to a command.
func (c *Commands) Signal(ctx context.Context, command, id, name string, payload json.RawMessage, sc stream.Context) (flow.Progress, error) {
	return c.act(ctx, command, actors.Instruction{
		ID: id, Op: actors.OpSignal, Data: flow.Signalled{Signal: name, Payload: payload}, Context: sc,
	})
}

// Cancel ends a command: nothing new begins, what is done is undone. The items
// of a batch that have begun run to their ends.
func (c *Commands) Cancel(ctx context.Context, command, id string, sc stream.Context) (flow.Progress, error) {
	return c.act(ctx, command, actors.Instruction{ID: id, Op: actors.OpCancel, Context: sc})
}

// Pause lets no new item of a batch begin, until Resume.
func (c *Commands) Pause(ctx context.Context, command, id string, sc stream.Context) (flow.Progress, error) {
	return c.act(ctx, command, actors.Instruction{ID: id, Op: actors.OpPause, Context: sc})
}

// Resume ends a pause.
func (c *Commands) Resume(ctx context.Context, command, id string, sc stream.Context) (flow.Progress, error) {
	return c.act(ctx, command, actors.Instruction{ID: id, Op: actors.OpResume, Context: sc})
}

// RetryFailed runs the failed items of a batch that has ended once more.
func (c *Commands) RetryFailed(ctx context.Context, command, id string, sc stream.Context) (flow.Progress, error) {
	if _, err := c.find(ctx, command, id); err != nil {
		return flow.Progress{}, err
	}
	if err := c.system.OpenCommand(ctx, id); err != nil {
		return flow.Progress{}, err
	}
	return c.act(ctx, command, actors.Instruction{ID: id, Op: actors.OpRetryFailed, Context: sc})
}

// act has a command decide on something that is asked of it from outside, and
// sees to it that it is driven on.
func (c *Commands) act(ctx context.Context, command string, i actors.Instruction) (flow.Progress, error) {
	st, err := c.find(ctx, command, i.ID)
	if err != nil {
		return flow.Progress{}, err
	}
	if i.Context.CorrelationID == "" {
		i.Context.CorrelationID = st.Caller.CorrelationID
	}
	st, err = c.system.Instruct(ctx, i)
	if err != nil {
		return flow.Progress{}, err
	}
	if st.Progress.Ended() {
		c.ended(ctx, st)
	}
	if err := c.wake(ctx, st); err != nil {
		c.log.Warn("a command was not woken: the sweeper will", "command", command, "id", i.ID, "error", err)
	}
	return st.Progress, nil
}

// find is where a command of that name stands.
func (c *Commands) find(ctx context.Context, command, id string) (*flow.State, error) {
	st, err := c.system.CommandState(ctx, id)
	switch {
	case err != nil && !notFound(err):
		return nil, err
	case err != nil || st.Progress.Command != command:
		return nil, catalog.Faultf(catalog.NotFound, "no command %s with id %q", command, id)
	}
	return st, nil
}

// wake has the instance that drives a command look at its stream. One that is
// not there any more is started anew.
func (c *Commands) wake(ctx context.Context, st *flow.State) error {
	instance := instanceFor(st)
	err := c.engine.Raise(ctx, instance, eventWake)
	if errors.Is(err, ErrNotFound) && !st.Progress.Ended() {
		return c.schedule(ctx, st, instance)
	}
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// ended is called, at least once, when a command has ended: it need not be swept
// any more, and its batch hears of it.
func (c *Commands) ended(ctx context.Context, st *flow.State) {
	if st.Parent == nil {
		c.system.CloseCommand(st.Progress.ID)
		return
	}
	item := itemOf(st, st.Parent.Index)
	batch, err := c.system.Instruct(ctx, actors.Instruction{
		ID: st.Parent.Batch, Op: actors.OpItems, CauseAt: st.At, Context: contextOf(st),
		Data: flow.ItemsRecorded{Round: st.Parent.Round, Chunk: st.Parent.Chunk, Items: []flow.Item{item}},
	})
	if err == nil && batch.Progress.Ended() {
		c.system.CloseCommand(st.Parent.Batch)
		err = c.wake(ctx, batch)
	}
	if err != nil {
		c.log.Warn("a batch did not hear of the end of an item: the sweeper will tell it", "batch", st.Parent.Batch, "item", st.Progress.ID, "error", err)
		return
	}
	c.system.CloseCommand(st.Progress.ID)
}

// contextOf is the context of what a command causes.
func contextOf(st *flow.State) stream.Context {
	return stream.Context{
		Who: st.Caller.Who, Source: st.Caller.Source, Commentary: st.Caller.Commentary,
		CorrelationID: st.Caller.CorrelationID, CausationID: st.Progress.ID,
	}
}

func commandStream(id string) stream.ID { return stream.ID{Type: flow.CommandType, Key: id} }

// maxInstance is how long an instance id made of a command's id may get: what is
// added to it, for children too, stays below MaxInstance.
const maxInstance = 120

// instanceOf is the instance that drives a command. A command's id is anything; an
// instance's has few characters and a limit.
func instanceOf(id string) string {
	if escaped := stream.Escape(id); len(escaped) <= maxInstance {
		return escaped
	}
	sum := sha256.Sum256([]byte(id))
	return "~" + hex.EncodeToString(sum[:])
}

// instanceFor is the instance that drives a command now. A round that repeats
// another has one of its own: the last round's may be about to end, and then does
// not see what it is sent.
func instanceFor(st *flow.State) string {
	switch {
	case st.Parent != nil:
		return handedOver(st.Progress.ID)
	case st.Batch != nil && st.Batch.Round > 1:
		return fmt.Sprintf("%s~r%d", instanceOf(st.Progress.ID), st.Batch.Round)
	}
	return instanceOf(st.Progress.ID)
}

// handedOver is the instance that drives an item that its chunk did not wait for.
func handedOver(id string) string { return instanceOf(id) + "~on" }

func notFound(err error) bool {
	var f *catalog.Fault
	return errors.As(err, &f) && f.Code == catalog.NotFound
}
