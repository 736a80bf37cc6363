package actors

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

// The methods of an entity's actor. A payload and an answer are packed; an
// answer says in itself what went wrong, so that only faults of the transport
// surface as errors of the call.
const (
	methodDo       = "do"       // commands in, a reply to each out, in order
	methodProject  = "project"  // readRequest in, a reply of State out
	methodClassify = "classify" // readRequest in, a reply of Judgement out
	methodLook     = "look"     // readRequest in, a reply of State out
)

// reply is the envelope of an answer: the fault, or the value, or both for a
// command. Again says that the answer does not fit into this message and is to
// be fetched by itself: a command by its id, a projection from the store.
type reply[T any] struct {
	Fault *catalog.Fault
	Value T
	Again bool
}

// wired is what can be the value of a reply.
type wired[T any] interface {
	*T
	pack(*packer)
	unpack(*unpacker)
}

func packReply[T any, W wired[T]](p *packer, r *reply[T]) error {
	p.flag(r.Again)
	if r.Again {
		return nil
	}
	var fault []byte
	if r.Fault != nil {
		var err error
		if fault, err = json.Marshal(r.Fault); err != nil {
			return err
		}
	}
	p.optional(fault)
	W(&r.Value).pack(p)
	return nil
}

func unpackReply[T any, W wired[T]](u *unpacker) (r reply[T]) {
	if r.Again = u.flag(); r.Again {
		return r
	}
	if fault := u.optional(); fault != nil {
		r.Fault = new(catalog.Fault)
		if err := json.Unmarshal(fault, r.Fault); err != nil {
			u.fail(err)
		}
	}
	W(&r.Value).unpack(u)
	return r
}

// settled is what a command came to: its caller knows the rest of the answer.
type settled struct {
	Status   string
	Sequence uint64
	Result   json.RawMessage
}

func (o *settled) pack(p *packer) {
	p.text(o.Status)
	p.number(o.Sequence)
	p.optional(o.Result)
}

func (o *settled) unpack(u *unpacker) {
	o.Status, o.Sequence, o.Result = u.text(), u.number(), u.optional()
}

func (s *State) pack(p *packer) {
	p.optional(s.State)
	p.number(s.Sequence)
	p.moment(s.AsOf)
}

func (s *State) unpack(u *unpacker) {
	s.State, s.Sequence, s.AsOf = u.optional(), u.number(), u.moment()
}

func (j *Judgement) pack(p *packer) {
	p.number(uint64(j.Verdict))
	p.number(j.Sequence)
}

func (j *Judgement) unpack(u *unpacker) {
	verdict := u.number()
	if verdict > uint64(catalog.Excluded) {
		u.fail(errPacked)
		return
	}
	j.Verdict, j.Sequence = catalog.Verdict(verdict), u.number()
}

func (c *Command) pack(p *packer) {
	p.text(c.Name)
	p.text(c.ID)
	p.optional(c.Params)
	p.flag(c.Expected != nil)
	if c.Expected != nil {
		p.number(*c.Expected)
	}
	p.text(c.Context.Who)
	p.text(c.Context.Source)
	p.text(c.Context.Commentary)
	p.text(c.Context.CorrelationID)
	p.text(c.Context.CausationID)
	p.text(c.Context.Schema)
	p.moment(c.CauseAt)
	p.text(c.Step)
	p.optional(c.Results)
	p.flag(c.Settle)
	p.flag(c.Dry)
}

func (c *Command) unpack(u *unpacker) {
	c.Name, c.ID, c.Params = u.text(), u.text(), u.optional()
	if u.flag() {
		n := u.number()
		c.Expected = &n
	}
	c.Context = stream.Context{
		Who: u.text(), Source: u.text(), Commentary: u.text(),
		CorrelationID: u.text(), CausationID: u.text(), Schema: u.text(),
	}
	c.CauseAt = u.moment()
	c.Step, c.Results, c.Settle, c.Dry = u.text(), u.optional(), u.flag(), u.flag()
}

// readRequest asks for a projection or a classifier's verdict now.
type readRequest struct {
	Name   string
	Params json.RawMessage
	Strong bool
}

func (r *readRequest) pack() []byte {
	p := newPacker(len(r.Name) + len(r.Params) + 8)
	p.text(r.Name)
	p.optional(r.Params)
	p.flag(r.Strong)
	return p.b
}

func (r *readRequest) unpack(data []byte) error {
	u := newUnpacker(data)
	r.Name, r.Params, r.Strong = u.text(), u.optional(), u.flag()
	return u.end()
}

// encode is json.Marshal that leaves text as it is.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// actorOf is the actor type and id of an entity.
func actorOf(id stream.ID) (actorType, actorID string) { return id.Type, stream.Escape(id.Key) }

func entityOf(actorType, actorID string) (stream.ID, error) {
	key, err := stream.Unescape(actorID)
	if err != nil {
		return stream.ID{}, fmt.Errorf("actor id %q: %w", actorID, err)
	}
	return stream.ID{Type: actorType, Key: key}, nil
}
