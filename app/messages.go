package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/flow"
)

// The topics of API.md.
const (
	topicCommands = "commands"
	topicDead     = "commands-dead"
)

// patience is how long a message that cannot be handled now is tried again
// before it goes back to the broker: some of them count refusals, and some bring
// one back at once.
const patience = 20 * time.Second

// errStopping is why a message goes back early.
var errStopping = errors.New("the system is stopping")

// Publisher publishes messages; *actors.Sidecar is one.
type Publisher interface {
	// Publish returns once the broker has them.
	Publish(ctx context.Context, pubsub, topic string, messages ...actors.Outgoing) error
}

// RouterOptions is what a Router is made of.
type RouterOptions struct {
	PubSub    string // the name of the component
	Publisher Publisher
	Limit     int                   // messages handled at the same time; 256
	Patience  time.Duration         // how long a message is tried again; 20 s
	Metrics   prometheus.Registerer // nil: nothing is measured
}

// Router is the edge that pub/sub reaches: it runs what comes on the topic
// commands. A message is done, and acknowledged, when its command is recorded
// (a direct one: answered), or when it can never be handled and is in the topic
// commands-dead with the reason. Everything before that can be repeated: it goes
// by the command's id. Safe for concurrent use.
type Router struct {
	server    *Server
	pubsub    string
	publisher Publisher
	limit     int
	patience  time.Duration
	log       *slog.Logger
	messages  *prometheus.CounterVec // by topic and outcome

	system   Runtime // set when used is closed
	used     chan struct{}
	stopping chan struct{}
	stop     sync.Once
}

// The outcomes of a message.
const (
	outcomeHandled  = "handled"
	outcomeDead     = "dead"
	outcomeReturned = "returned" // to the broker
)

// NewRouter makes a router for the commands that a server knows.
func NewRouter(s *Server, o RouterOptions) (*Router, error) {
	r := &Router{
		server: s, pubsub: o.PubSub, publisher: o.Publisher, log: s.log,
		limit: cmp.Or(o.Limit, defaultMessages), patience: cmp.Or(o.Patience, patience),
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "longrun_messages_total",
			Help: "Messages that came, by topic and outcome: handled, dead (published to the topic of dead ones), returned (to the broker, to come again).",
		}, []string{"topic", "outcome"}),
		used: make(chan struct{}), stopping: make(chan struct{}),
	}
	if o.Metrics == nil {
		return r, nil
	}
	if err := o.Metrics.Register(r.messages); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return r, nil
}

// defaultMessages is how many messages are handled at the same time.
const defaultMessages = 256

// Topics is what is to be read.
func (r *Router) Topics() []actors.Topic {
	return []actors.Topic{{PubSub: r.pubsub, Name: topicCommands, Limit: r.limit, Handle: r.Handle}}
}

// Use gives the router the system; messages that come before wait for it. It is
// called once.
func (r *Router) Use(system Runtime) {
	r.system = system
	close(r.used)
}

// Stop lets what is being handled end, and tries nothing again: what cannot be
// handled goes back to the broker.
func (r *Router) Stop() { r.stop.Do(func() { close(r.stopping) }) }

// Handle handles one message; nil means that it is done.
func (r *Router) Handle(ctx context.Context, m actors.Message) error {
	select {
	case <-r.used:
	case <-r.stopping:
		return errStopping
	case <-ctx.Done():
		return ctx.Err()
	}
	var letter *deadLetter
	attempt := func() (struct{}, error) {
		var err error
		if letter == nil {
			letter, err = r.route(ctx, m)
		}
		if err == nil && letter != nil {
			err = r.bury(ctx, m, letter)
		}
		select {
		case <-r.stopping:
			err = backoff.Permanent(err)
		default:
		}
		return struct{}{}, err
	}
	_, err := backoff.Retry(ctx, attempt, backoff.WithMaxElapsedTime(r.patience),
		backoff.WithBackOff(&backoff.ExponentialBackOff{InitialInterval: 50 * time.Millisecond, Multiplier: 2, RandomizationFactor: 0.2, MaxInterval: time.Second}))
	switch {
	case err != nil:
		r.messages.WithLabelValues(m.Topic, outcomeReturned).Inc()
		return err
	case letter != nil:
		r.messages.WithLabelValues(m.Topic, outcomeDead).Inc()
		r.log.Warn("a message can never be handled: it is in the topic of dead ones", "topic", m.Topic, "message", m.ID, "code", letter.Problem.Code, "detail", letter.Problem.Detail)
	default:
		r.messages.WithLabelValues(m.Topic, outcomeHandled).Inc()
	}
	return nil
}

// route runs the command in a message. It answers with a letter if that can
// never be done, and with an error if it cannot be done now.
func (r *Router) route(ctx context.Context, m actors.Message) (*deadLetter, error) {
	in := r.read(m)
	err := in.err
	if err == nil {
		err = r.expired(ctx, m, &in.order)
	}
	if err == nil {
		err = r.run(ctx, &in.order)
	}
	var f *catalog.Fault
	switch known := errors.As(err, &f); {
	case err == nil:
		return nil, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case known && f.Code == catalog.Unavailable:
		return nil, err
	case known && f.Code == catalog.Rejected: // that is the answer to it
		return nil, nil
	case known && f.Code == catalog.Invalid && in.named:
		valid, err := r.recordInvalid(ctx, &in.order, f)
		if valid || err != nil {
			return nil, err
		}
	}
	return newDeadLetter(m.Data, problemOf(err, r.log)), nil
}

// run runs a direct command to its end, and starts any other.
func (r *Router) run(ctx context.Context, o *order) error {
	if o.direct {
		_, err := r.system.Do(ctx, o.Command)
		return err
	}
	_, err := r.system.RunsOn().Start(ctx, o.start())
	return err
}

// recordInvalid writes the stream of a command that is not valid, so that whoever
// sent it finds the reason under its id. It is valid if the same command was
// taken before, by a release that found nothing wrong with it. An id that is
// another command's keeps its stream.
func (r *Router) recordInvalid(ctx context.Context, o *order, why *catalog.Fault) (valid bool, err error) {
	start := o.start()
	start.Options, start.Invalid = flow.Options{}, why
	p, err := r.system.RunsOn().Start(ctx, start)
	var f *catalog.Fault
	switch {
	case err == nil:
		return p.Status != flow.StatusInvalid, nil
	case ctx.Err() != nil || errors.As(err, &f) && f.Code == catalog.Unavailable:
		return false, err
	}
	return false, nil
}

// expired refuses a message whose publisher has no more use for it, unless its
// command was taken in time and the message has only come again.
func (r *Router) expired(ctx context.Context, m actors.Message, o *order) error {
	if m.Expires.IsZero() || m.Expires.After(time.Now()) {
		return nil
	}
	_, err := r.system.Progress(ctx, o.Name, o.ID, nil)
	var f *catalog.Fault
	if errors.As(err, &f) && f.Code == catalog.NotFound {
		return catalog.Faultf(catalog.Conflict, "the message expired at %s", m.Expires.UTC().Format(time.RFC3339))
	}
	return err
}
