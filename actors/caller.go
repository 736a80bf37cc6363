package actors

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

const (
	callDeadline = 10 * time.Second
	maxCoalesced = 256 // commands in one call
)

// pending is a command that waits for its place in a call.
type pending struct {
	call *call
	due  time.Time // not sent after it: the caller was told that it is unavailable, or should be
	done func(Answer, error)
}

// lanes bring commands to entities. Commands for one entity that arrive while a
// call to it is in flight go together as the next call, in order.
type lanes struct {
	seed  maphash.Seed
	parts [64]lanePart
	send  func(id stream.ID, batch []pending) // answers all of them
	wait  sync.WaitGroup
}

type lanePart struct {
	mu    sync.Mutex
	lanes map[stream.ID][]pending // a key is there while a goroutine serves it
}

func newLanes(send func(stream.ID, []pending)) *lanes {
	l := &lanes{seed: maphash.MakeSeed(), send: send}
	for i := range l.parts {
		l.parts[i].lanes = map[stream.ID][]pending{}
	}
	return l
}

// add queues a command behind those for the same entity. It does not block.
func (l *lanes) add(id stream.ID, p pending) {
	part := &l.parts[maphash.Comparable(l.seed, id)%uint64(len(l.parts))]
	part.mu.Lock()
	queue, served := part.lanes[id]
	part.lanes[id] = append(queue, p)
	part.mu.Unlock()
	if !served {
		l.wait.Go(func() { l.serve(part, id) })
	}
}

func (l *lanes) serve(part *lanePart, id stream.ID) {
	for {
		part.mu.Lock()
		queue := part.lanes[id]
		if len(queue) == 0 {
			delete(part.lanes, id)
			part.mu.Unlock()
			return
		}
		n, size := 0, 0
		for n < len(queue) && n < maxCoalesced {
			if size += queue[n].call.size(); n > 0 && size > stream.MaxBatch/2 {
				break
			}
			n++
		}
		batch := queue[:n:n]
		part.lanes[id] = queue[n:]
		part.mu.Unlock()
		l.send(id, batch)
	}
}

// Start runs a direct command on its entity, and calls done when it ended, with
// a *catalog.Fault or nil. Commands for one entity are decided in the order of
// their Starts. It does not block; the caller bounds what is in flight.
func (s *System) Start(_ context.Context, c Command, done func(Answer, error)) {
	var compact bytes.Buffer
	if err := json.Compact(&compact, c.Params); err != nil {
		done(Answer{}, catalog.Faultf(catalog.Invalid, "parameters of %s: %v", c.Name, err))
		return
	}
	c.Params = compact.Bytes()
	k := s.newCall(c)
	if k.answered {
		done(Answer{}, k.fault)
		return
	}
	id := stream.ID{Type: k.answer.Entity, Key: k.answer.Key}
	if err := stream.CheckKey(id.Key); err != nil {
		done(Answer{}, catalog.Faultf(catalog.Invalid, "the key of %s: %v", id.Type, err))
		return
	}
	if err := stream.CheckKey(c.ID); err != nil {
		done(Answer{}, catalog.Faultf(catalog.Invalid, "the command's id: %v", err))
		return
	}
	s.lanes.add(id, pending{k, time.Now().Add(callDeadline), done})
}

// Do is Start and waiting for its end, or that of ctx, but no longer than a call
// may take. A command that was given up on may still be carried out: try again
// with the same id.
func (s *System) Do(ctx context.Context, c Command) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, callDeadline)
	defer cancel()
	type result struct {
		answer Answer
		err    error
	}
	ended := make(chan result, 1)
	s.Start(ctx, c, func(a Answer, err error) { ended <- result{a, err} })
	select {
	case r := <-ended:
		return r.answer, r.err
	case <-ctx.Done():
		return Answer{}, catalog.Faultf(catalog.Unavailable, "gave up waiting: %v", context.Cause(ctx))
	}
}

// send carries a batch to its entity and answers it: by the short way if the
// entity's actor runs in this process, else through the sidecar.
func (s *System) send(id stream.ID, batch []pending) {
	batch = slices.DeleteFunc(batch, func(p pending) bool {
		late := time.Now().After(p.due)
		if late {
			p.done(Answer{}, catalog.Faultf(catalog.Unavailable, "%s is busy", id))
		}
		return late
	})
	if len(batch) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), callDeadline)
	defer cancel()
	if s.shortWay {
		if e := s.host.local(id, s.catalog.Entities[id.Type]); e != nil {
			s.metrics.shortCalls.Inc()
			calls := make([]*call, len(batch))
			for i, p := range batch {
				calls[i] = p.call
			}
			s.run(ctx, e, calls)
			s.host.release(e)
			for _, p := range batch {
				p.done(p.call.result())
			}
			return
		}
	}
	for len(batch) > 0 {
		batch = s.sendAway(ctx, id, batch)
	}
}

// sendAway carries a batch through the sidecar and answers it, except for those
// whose answers did not fit: they are asked for again.
func (s *System) sendAway(ctx context.Context, id stream.ID, batch []pending) (again []pending) {
	replies, err := s.callOwner(ctx, id, batch)
	for i, p := range batch {
		if err != nil {
			p.done(Answer{}, faultOf(err))
			continue
		}
		r := &replies[i]
		if r.Again {
			again = append(again, p)
			continue
		}
		answer := p.call.answer
		answer.Status, answer.Sequence, answer.Result = r.Value.Status, r.Value.Sequence, r.Value.Result
		if r.Fault != nil {
			p.done(answer, r.Fault)
			continue
		}
		p.done(answer, nil)
	}
	return again
}

// callOwner calls an entity's actor with a batch of commands: a reply to each.
func (s *System) callOwner(ctx context.Context, id stream.ID, batch []pending) ([]reply[settled], error) {
	size := 0
	for _, p := range batch {
		size += len(p.call.Params) + 256
	}
	message := newPacker(size)
	message.number(uint64(len(batch)))
	for _, p := range batch {
		p.call.Command.pack(message)
	}
	data, err := s.invoke(ctx, id, methodDo, message.b)
	if err != nil {
		return nil, err
	}
	u := newUnpacker(data)
	replies := make([]reply[settled], u.count())
	for i := range replies {
		replies[i] = unpackReply[settled](u)
	}
	if err := u.end(); err != nil {
		return nil, fmt.Errorf("the answers of %s: %w", id, err)
	}
	if len(replies) != len(batch) {
		return nil, fmt.Errorf("%d answers of %s to %d commands", len(replies), id, len(batch))
	}
	return replies, nil
}

func (k *call) result() (Answer, error) {
	if k.fault != nil {
		return k.answer, k.fault
	}
	return k.answer, nil
}

// invoke calls an entity's actor through the sidecar. A call that failed on the
// way is tried again until ctx ends: what is asked for is known by its id.
func (s *System) invoke(ctx context.Context, id stream.ID, method string, payload []byte) ([]byte, error) {
	actorType, actorID := actorOf(id)
	data, err := backoff.Retry(ctx, func() ([]byte, error) {
		s.metrics.sidecarCalls.Inc()
		return s.sidecar.Invoke(ctx, actorType, actorID, method, payload)
	}, backoff.WithBackOff(&backoff.ExponentialBackOff{
		InitialInterval: 20 * time.Millisecond, RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: time.Second,
	}))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", id, err)
	}
	return data, nil
}
