package actors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/flow"
	"github.com/longrun-dev/longrun/internal/stream"
)

// serveDo runs commands that came through the sidecar.
func (s *System) serveDo(ctx context.Context, e *entity, payload []byte) ([]byte, error) {
	u := newUnpacker(payload)
	calls := make([]*call, u.count())
	for i := range calls {
		var c Command
		c.unpack(u)
		k := s.newCall(c)
		if k.answered && (k.fault.Code == catalog.NotFound || k.fault.Code == catalog.Invalid) {
			// Who sent it found nothing wrong with it: it has another release. That is no answer.
			k.refuse(catalog.Faultf(catalog.Unavailable, "the host of %s has another release: %s", e.id, k.fault.Detail))
		}
		if !k.answered && (k.answer.Key != e.id.Key || k.answer.Entity != e.id.Type) {
			k.refuse(catalog.Faultf(catalog.Internal, "command %s is about %s/%s, not %s", c.Name, k.answer.Entity, k.answer.Key, e.id))
		}
		calls[i] = k
	}
	if err := u.end(); err != nil {
		return nil, err
	}
	s.run(ctx, e, calls)
	message := newPacker(64 * len(calls))
	message.number(uint64(len(calls)))
	size := 0
	for i, k := range calls {
		size += len(k.answer.Result)
		r := reply[settled]{
			Fault: k.fault,
			Value: settled{k.answer.Status, k.answer.Sequence, k.answer.Result},
			Again: i > 0 && size > stream.MaxBatch/2,
		}
		if err := packReply(message, &r); err != nil {
			return nil, err
		}
	}
	return message.b, nil
}

// serveRead answers a read that came through the sidecar.
func serveRead[T any, W wired[T]](ctx context.Context, e *entity, payload []byte, read func(context.Context, *entity, readRequest) (T, error)) ([]byte, error) {
	var request readRequest
	if err := request.unpack(payload); err != nil {
		return nil, err
	}
	var r reply[T]
	var err error
	if r.Value, err = read(ctx, e, request); err != nil {
		r.Fault = faultOf(err)
	}
	message := newPacker(128)
	if err := packReply[T, W](message, &r); err != nil {
		return nil, err
	}
	if len(message.b) > stream.MaxBatch {
		message = newPacker(1)
		if err := packReply[T, W](message, &reply[T]{Again: true}); err != nil {
			return nil, err
		}
	}
	return message.b, nil
}

// errLarge says that an owner's answer does not fit into a message.
var errLarge = errors.New("the answer is too large for a message")

// read asks an entity's owner.
func read[T any, W wired[T]](ctx context.Context, s *System, id stream.ID, method string, r readRequest, here func(context.Context, *entity, readRequest) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, callDeadline)
	defer cancel()
	var zero T
	if s.shortWay {
		if e := s.host.local(id, s.catalog.Entities[id.Type]); e != nil {
			defer s.host.release(e)
			value, err := here(ctx, e, r)
			if err != nil {
				return zero, faultOf(err)
			}
			return value, nil
		}
	}
	data, err := s.invoke(ctx, id, method, r.pack())
	if err != nil {
		return zero, faultOf(err)
	}
	u := newUnpacker(data)
	answer := unpackReply[T, W](u)
	switch err := u.end(); {
	case err != nil:
		return zero, faultOf(fmt.Errorf("the answer of %s: %w", id, err))
	case answer.Fault != nil:
		return zero, answer.Fault
	case answer.Again:
		return zero, errLarge
	}
	return answer.Value, nil
}

// fresh opens an entity for reading, within its turn; strong looks first
// whether someone else has written since.
func (s *System) fresh(ctx context.Context, e *entity, needs []*catalog.Projection, strong bool) error {
	err := e.ensure(ctx, s, needs)
	if err == nil && strong {
		newer, strongErr := s.reader.Exists(ctx, e.id, e.tail.Number+1)
		if err = strongErr; newer {
			e.drop()
			err = e.ensure(ctx, s, needs)
		}
	}
	if err != nil {
		e.drop()
		return err
	}
	if e.tail.Last == 0 {
		return catalog.Faultf(catalog.NotFound, "no %s %q", e.id.Type, e.id.Key)
	}
	return nil
}

// newerRelease is why nobody here goes on with a command; reading it is fine.
const newerRelease = "newer-release"

func (s *System) projectNow(ctx context.Context, e *entity, r readRequest) (State, error) {
	p := s.catalog.Projections[e.id.Type][r.Name]
	if p == nil {
		return State{}, unknownName("projection", r.Name, e.id)
	}
	if err := e.lock(ctx); err != nil {
		return State{}, err
	}
	defer e.unlock()
	if err := s.fresh(ctx, e, []*catalog.Projection{p}, r.Strong); err != nil {
		return State{}, err
	}
	if e.unknown != "" && e.id.Type == flow.CommandType { // what is to be done next depends on it
		return State{}, &catalog.Fault{Code: catalog.Unavailable, Reason: newerRelease, Detail: fmt.Sprintf("%s holds an event of a newer release: %s", e.id, e.unknown)}
	}
	e.tell()
	state, err := s.marshal(e.id, e.folds[p.Index])
	return State{state, e.tail.Last, e.tail.At}, err
}

func (s *System) classifyNow(ctx context.Context, e *entity, r readRequest) (Judgement, error) {
	c := s.catalog.Classifiers[e.id.Type][r.Name]
	if c == nil {
		return Judgement{}, unknownName("classifier", r.Name, e.id)
	}
	params, err := s.classifierParams(c, r.Params)
	if err != nil {
		return Judgement{}, err
	}
	return s.judge(ctx, e.id, e.def, func(k *call) (Judgement, error) {
		if err := e.lock(ctx); err != nil {
			return Judgement{}, err
		}
		defer e.unlock()
		if err := s.fresh(ctx, e, c.Needs, r.Strong); err != nil {
			return Judgement{}, err
		}
		verdict, err := s.judgeAt(e.id, c, params, e.folds, e.tail.At, k)
		return Judgement{verdict, e.tail.Last}, err
	})
}

// judge runs a judgement until it has what it asks for of the past, which is
// loaded outside of it.
func (s *System) judge(ctx context.Context, id stream.ID, def *catalog.Entity, try func(*call) (Judgement, error)) (Judgement, error) {
	k := &call{}
	for {
		j, err := try(k)
		if err != nil || len(k.missing) == 0 {
			return j, err
		}
		if err := s.loadPast(ctx, id, def, k); err != nil {
			return Judgement{}, err
		}
	}
}

// judgeAt runs a classifier over folds that stand at a moment. If it asked for a
// past that k does not have, its verdict is void.
func (s *System) judgeAt(id stream.ID, c *catalog.Classifier, params any, folds []catalog.Fold, at time.Time, k *call) (catalog.Verdict, error) {
	verdict, err := verdictAt(c, params, folds, at, k)
	if err == nil {
		return verdict, nil
	}
	s.log.Error("a classifier failed", "classifier", c.Name, "stream", id, "error", err)
	return 0, catalog.Faultf(catalog.Internal, "classifier %s failed", c.Name)
}

// verdictAt is judgeAt with the panic of an author's code as the error.
func verdictAt(c *catalog.Classifier, params any, folds []catalog.Fold, at time.Time, k *call) (catalog.Verdict, error) {
	r := &turnReader{folds: folds, tail: at, now: at, call: k}
	verdict, err := guard(func() (catalog.Verdict, error) { return c.Judge(r, params), nil })
	if len(k.missing) > 0 {
		return catalog.Undecided, nil
	}
	return verdict, err
}

func (s *System) classifierParams(c *catalog.Classifier, params json.RawMessage) (any, error) {
	var invalid error
	decoded, err := guard(func() (p any, _ error) {
		p, invalid = c.Decode(params)
		return p, nil
	})
	switch {
	case err != nil:
		s.log.Error("decoding parameters failed", "classifier", c.Name, "error", err)
		return nil, catalog.Faultf(catalog.Internal, "the parameters of %s could not be decoded", c.Name)
	case invalid != nil:
		return nil, catalog.Faultf(catalog.Invalid, "parameters of %s: %v", c.Name, invalid)
	}
	return decoded, nil
}

// Project answers a projection of an entity: the current one from its owner's
// memory, an earlier one from the store.
func (s *System) Project(ctx context.Context, id stream.ID, projection string, at At) (State, error) {
	def, p := s.catalog.Entities[id.Type], s.catalog.Projections[id.Type][projection]
	if p == nil {
		return State{}, unknownName("projection", projection, id)
	}
	if at.Time == nil && at.Sequence == nil {
		state, err := read(ctx, s, id, methodProject, readRequest{Name: projection, Strong: at.Strong}, s.projectNow)
		if !errors.Is(err, errLarge) {
			return state, err
		}
	}
	folds, where, err := s.past(ctx, id, def, []*catalog.Projection{p}, at)
	if err != nil {
		return State{}, faultOf(err)
	}
	state, err := s.marshal(id, folds[p.Index])
	if err != nil {
		return State{}, err
	}
	return State{state, where.sequence, where.asOf(at)}, nil
}

// Classify asks a classifier about an entity. params is the JSON of its
// parameters, {} for none.
func (s *System) Classify(ctx context.Context, id stream.ID, classifier string, params json.RawMessage, at At) (Judgement, error) {
	def, c := s.catalog.Entities[id.Type], s.catalog.Classifiers[id.Type][classifier]
	if c == nil {
		return Judgement{}, unknownName("classifier", classifier, id)
	}
	decoded, err := s.classifierParams(c, params)
	if err != nil {
		return Judgement{}, err
	}
	if at.Time == nil && at.Sequence == nil {
		return read(ctx, s, id, methodClassify, readRequest{Name: classifier, Params: params, Strong: at.Strong}, s.classifyNow)
	}
	folds, where, err := s.past(ctx, id, def, c.Needs, at)
	if err != nil {
		return Judgement{}, faultOf(err)
	}
	if where.sequence == 0 {
		return Judgement{catalog.Undecided, 0}, nil
	}
	j, err := s.judge(ctx, id, def, func(k *call) (Judgement, error) {
		verdict, err := s.judgeAt(id, c, decoded, folds, where.at, k)
		return Judgement{verdict, where.sequence}, err
	})
	if err != nil {
		return Judgement{}, faultOf(err)
	}
	return j, nil
}

// past folds an entity as of an earlier moment or sequence. An entity that
// never existed is not found; before it existed the folds are empty.
func (s *System) past(ctx context.Context, id stream.ID, def *catalog.Entity, ps []*catalog.Projection, at At) ([]catalog.Fold, point, error) {
	if at.Time != nil && at.Time.After(s.now()) {
		return nil, point{}, futureAsOf()
	}
	folds, where, err := s.foldAt(ctx, id, def, ps, at)
	if err != nil || where.sequence > 0 {
		return folds, where, err
	}
	if exists, err := s.hasEvents(ctx, id); err != nil || exists {
		return folds, where, err
	}
	return nil, point{}, catalog.Faultf(catalog.NotFound, "no %s %q", id.Type, id.Key)
}

func (p point) asOf(at At) time.Time {
	if at.Time != nil {
		return at.Time.UTC()
	}
	return p.at
}

// Verify checks a stream's chain from end to end.
func (s *System) Verify(ctx context.Context, id stream.ID) (stream.Report, error) {
	report, err := s.reader.Verify(ctx, id)
	switch {
	case err != nil:
		return report, faultOf(err)
	case report.Commits == 0 && report.OK:
		return report, catalog.Faultf(catalog.NotFound, "no %s %q", id.Type, id.Key)
	}
	return report, nil
}
