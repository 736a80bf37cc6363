package stream

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// A commit is stored in a frame (wire.go) with the magic "LC". Its body in
// format 1, where number is an unsigned varint, signed a zigzag varint, and
// text a number of bytes and the bytes:
//
//	text    entity type        } the commit names its place, so that one
//	text    entity key         } that is found under another key is noticed
//	number  commit number      }
//	16      commit id
//	number  first sequence
//	32      hash of the commit before it
//	signed  time, microseconds since 1970
//	number  how many strings the table holds
//	  number  the length of each
//	bytes   the strings, joined
//	number  how many events all appends hold
//	number  how many appends
//	  for each append:
//	  string  append id
//	  16      parameter hash
//	  string  who, source, commentary, correlation id, causation id, schema
//	  number  how many events
//	    for each event:
//	    string    name
//	    signed    version
//	    optional  data
//	  optional  result
//
// A string is a number: 0 is the empty string, n the n-th of the table. The
// table holds each string once, in the order of first use; the appends of a
// coalesced commit mostly share their context and their event names. An
// optional is 0 for nil, or a length plus one and the bytes.
//
// One commit has one encoding. A later release that adds a field takes format 2
// and keeps reading format 1.
const (
	commitMagic  = "LC"
	commitFormat = 1

	// The fewest bytes that an item takes, which bounds what a count may claim.
	minString = 2              // length, one byte
	minEvent  = 3              // name, version, data
	minAppend = 1 + 16 + 6 + 2 // id, hash, context, count of events, result
)

var (
	errString  = errors.New("it refers to a string that it does not hold")
	errEvents  = errors.New("its count of events is wrong")
	errNumbers = errors.New("its first sequence is impossible")
)

// HashOf is the hash of a commit's stored bytes, which the next commit carries.
func HashOf(b []byte) Hash { return sha256.Sum256(b) }

// Size is the most that the append adds to the bytes of a commit. MaxAppend is
// measured by it.
func (a *Append) Size() int {
	x := &a.Context
	n := 16 + 9*binary.MaxVarintLen32 + len(a.ID) + len(a.Result) + len(x.Who) + len(x.Source) +
		len(x.Commentary) + len(x.CorrelationID) + len(x.CausationID) + len(x.Schema) +
		7*binary.MaxVarintLen32 // lengths in the table
	for i := range a.Events {
		n += len(a.Events[i].Name) + len(a.Events[i].Data) + 3*binary.MaxVarintLen32 + binary.MaxVarintLen64
	}
	return n
}

// Encode returns the bytes that are stored for c. The same commit always has
// the same bytes. At is stored in microseconds; what is finer is cut off.
func (c *Commit) Encode() []byte {
	size := 256 + len(c.Stream.Type) + len(c.Stream.Key)
	for i := range c.Appends {
		size += c.Appends[i].Size()
	}
	b := make([]byte, 0, size)
	b = append(b, commitMagic...)
	b = append(b, commitFormat)
	b = appendString(b, c.Stream.Type)
	b = appendString(b, c.Stream.Key)
	b = binary.AppendUvarint(b, c.Number)
	b = append(b, c.ID[:]...)
	b = binary.AppendUvarint(b, c.First)
	b = append(b, c.Prev[:]...)
	b = binary.AppendVarint(b, c.At.UnixMicro())

	t := table{list: make([]string, 0, scanned)}
	for i := range c.Appends {
		t.collect(&c.Appends[i])
	}
	b = t.append(b)
	b = binary.AppendUvarint(b, uint64(c.Events()))
	b = binary.AppendUvarint(b, uint64(len(c.Appends)))
	for i := range c.Appends {
		b = t.appendAppend(b, &c.Appends[i])
	}
	return seal(b)
}

// Decode reads the stored bytes of commit n of the stream id. It returns a
// *CorruptError if b is damaged or is another commit, and an error that is
// ErrFormat if a newer release wrote it. The commit's byte slices alias b, and
// its strings share one allocation: whoever keeps a few for long clones them.
func Decode(id ID, n uint64, b []byte) (Commit, error) {
	body, err := unseal(b, commitMagic, commitFormat)
	if errors.Is(err, ErrFormat) {
		return Commit{}, fmt.Errorf("%s, commit %d: %w", id, n, err)
	}
	var c Commit
	if err == nil {
		c, err = decodeBody(id, n, body)
	}
	if err != nil {
		return Commit{}, &CorruptError{Stream: id, Number: n, Problem: err.Error()}
	}
	return c, nil
}

func decodeBody(id ID, n uint64, body []byte) (Commit, error) {
	s := scanner{rest: body}
	kind, key, number := s.bytes(), s.bytes(), s.uvarint()
	if s.err != nil {
		return Commit{}, s.err
	}
	if string(kind) != id.Type || string(key) != id.Key || number != n {
		return Commit{}, fmt.Errorf("under its key is commit %d of %s/%s", number, kind, key)
	}
	c := Commit{Stream: id, Number: n}
	s.fixed(c.ID[:])
	c.First = s.uvarint()
	s.fixed(c.Prev[:])
	c.At = time.UnixMicro(s.varint()).UTC()

	d := decoder{scanner: s}
	d.readTable()
	d.events = make([]Event, d.count(minEvent))
	events := uint64(len(d.events))
	if k := d.count(minAppend); k > 0 {
		c.Appends = make([]Append, k)
		for i := range c.Appends {
			d.readAppend(&c.Appends[i])
		}
	}
	if err := d.end(); err != nil {
		return Commit{}, err
	}
	switch {
	case len(d.events) > 0:
		return Commit{}, errEvents
	case n == 0 || c.First == 0 || c.First > math.MaxUint64-events:
		return Commit{}, errNumbers
	}
	return c, nil
}

// decoder reads the appends of a commit.
type decoder struct {
	scanner
	strings []string
	events  []Event // for the appends to take theirs from
}

func (d *decoder) readTable() {
	d.strings = make([]string, d.count(minString))
	lengths := scanner{rest: d.rest} // read twice: for the total, then for each
	total := uint64(0)
	for range d.strings {
		n := d.uvarint()
		if n == 0 || n > uint64(len(d.rest)) {
			d.fail(errShort)
			return
		}
		total += n
	}
	joined := string(d.take(total))
	if d.err != nil {
		return
	}
	for i := range d.strings {
		n := lengths.uvarint()
		d.strings[i], joined = joined[:n], joined[n:]
	}
}

func (d *decoder) string() string {
	i := d.uvarint()
	if i == 0 {
		return ""
	}
	if i > uint64(len(d.strings)) {
		d.fail(errString)
		return ""
	}
	return d.strings[i-1]
}

func (d *decoder) readAppend(a *Append) {
	a.ID = d.string()
	d.fixed(a.ParamsHash[:])
	for _, field := range a.Context.fields() {
		*field = d.string()
	}
	k := d.uvarint()
	if k > uint64(len(d.events)) {
		d.fail(errEvents)
		return
	}
	if k > 0 {
		a.Events, d.events = d.events[:k:k], d.events[k:]
	}
	for i := range a.Events {
		a.Events[i] = Event{Name: d.string(), Version: d.integer(), Data: d.optional()}
	}
	a.Result = d.optional()
}

// fields are the context's strings in the order in which they are stored.
func (x *Context) fields() [6]*string {
	return [6]*string{&x.Who, &x.Source, &x.Commentary, &x.CorrelationID, &x.CausationID, &x.Schema}
}
