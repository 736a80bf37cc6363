package stream

import (
	"encoding/binary"
	"errors"
	"strings"
	"time"
)

// MaxRecent is how many append ids a head remembers.
const MaxRecent = 256

// Head is a hint that makes opening a stream fast: where the stream surely was
// once, and what was known there. It holds confirmed commits only. A head that
// is lost, old or wrong costs time and decides nothing.
type Head struct {
	Number    uint64     // of the newest commit that it covers
	Hash      Hash       // of that commit's stored bytes; it binds the head to the stream
	Last      uint64     // that commit's last sequence
	At        time.Time  // that commit's time
	Snapshots []Snapshot // none is above MaxSnapshot
	Recent    []RecentID // the ids of the newest appends without a gap, newest last; at most MaxRecent
}

// Snapshot is a projection's state at a sequence.
type Snapshot struct {
	Projection  string
	Fingerprint string // of the projection; another one means that the state is of no use
	Sequence    uint64
	State       []byte
}

// RecentID is an append that the stream holds.
type RecentID struct {
	ID          string
	ParamsHash  [16]byte
	Commit      uint64 // number of the commit that holds it
	First, Last uint64 // sequences of its events; Last is First-1 if it has none
}

// Remember adds the appends of c to recent, as append does, and leaves out the
// oldest above MaxRecent. Heads that hold the old slice stay as they are. The
// ids do not keep the commit in memory.
func Remember(recent []RecentID, c *Commit) []RecentID {
	first := c.First
	for i := range c.Appends {
		a := &c.Appends[i]
		last := first + uint64(len(a.Events)) - 1
		recent = append(recent, RecentID{
			ID: strings.Clone(a.ID), ParamsHash: a.ParamsHash, Commit: c.Number, First: first, Last: last,
		})
		first = last + 1
	}
	return recent[max(0, len(recent)-MaxRecent):]
}

// A head is stored in a frame (wire.go) with the magic "LH". Its body in format
// 1, in the words of codec.go:
//
//	number  commit number
//	32      the commit's hash
//	number  last sequence
//	signed  time, microseconds since 1970
//	number  how many snapshots
//	  for each snapshot:
//	  text    projection, fingerprint
//	  number  sequence
//	  optional  state
//	number  how many recent ids
//	  for each recent id:
//	  text    append id
//	  16      parameter hash
//	  number  commit, first, last
const (
	headMagic  = "LH"
	headFormat = 1

	minSnapshot = 4
	minRecent   = 1 + 16 + 3
)

var errHead = errors.New("its numbers contradict each other")

// Encode returns the bytes that are stored for h. It leaves out what does not
// belong in a head: snapshots above MaxSnapshot, those with which all would
// exceed MaxBatch, and recent ids above MaxRecent.
func (h *Head) Encode() []byte {
	kept, total := *h, 0
	kept.Snapshots = make([]Snapshot, 0, len(h.Snapshots))
	for _, s := range h.Snapshots {
		if len(s.State) <= MaxSnapshot && total+len(s.State) <= MaxBatch {
			kept.Snapshots = append(kept.Snapshots, s)
			total += len(s.State)
		}
	}
	kept.Recent = h.Recent[max(0, len(h.Recent)-MaxRecent):]
	return kept.encode(make([]byte, 0, 256+total+64*len(kept.Recent)))
}

// encode writes all of h to b.
func (h *Head) encode(b []byte) []byte {
	b = append(b, headMagic...)
	b = append(b, headFormat)
	b = binary.AppendUvarint(b, h.Number)
	b = append(b, h.Hash[:]...)
	b = binary.AppendUvarint(b, h.Last)
	b = binary.AppendVarint(b, h.At.UnixMicro())
	b = binary.AppendUvarint(b, uint64(len(h.Snapshots)))
	for i := range h.Snapshots {
		s := &h.Snapshots[i]
		b = appendString(b, s.Projection)
		b = appendString(b, s.Fingerprint)
		b = binary.AppendUvarint(b, s.Sequence)
		b = appendOptional(b, s.State)
	}
	b = binary.AppendUvarint(b, uint64(len(h.Recent)))
	for i := range h.Recent {
		r := &h.Recent[i]
		b = appendString(b, r.ID)
		b = append(b, r.ParamsHash[:]...)
		b = binary.AppendUvarint(b, r.Commit)
		b = binary.AppendUvarint(b, r.First)
		b = binary.AppendUvarint(b, r.Last)
	}
	return seal(b)
}

// DecodeHead reads the stored bytes of a head. An error of any kind means that
// there is no usable head. Whether the head is of this stream, its hash tells:
// compare it with the commit's. The states of snapshots alias b.
func DecodeHead(b []byte) (Head, error) {
	body, err := unseal(b, headMagic, headFormat)
	if err != nil {
		return Head{}, err
	}
	s := scanner{rest: body}
	h := Head{Number: s.uvarint()}
	s.fixed(h.Hash[:])
	h.Last = s.uvarint()
	h.At = time.UnixMicro(s.varint()).UTC()
	if n := s.count(minSnapshot); n > 0 {
		h.Snapshots = make([]Snapshot, n)
	}
	for i := range h.Snapshots {
		h.Snapshots[i] = Snapshot{
			Projection: string(s.bytes()), Fingerprint: string(s.bytes()),
			Sequence: s.uvarint(), State: s.optional(),
		}
	}
	if n := s.count(minRecent); n > 0 {
		h.Recent = make([]RecentID, n)
	}
	for i := range h.Recent {
		r := &h.Recent[i]
		r.ID = string(s.bytes())
		s.fixed(r.ParamsHash[:])
		r.Commit, r.First, r.Last = s.uvarint(), s.uvarint(), s.uvarint()
	}
	if err := s.end(); err != nil {
		return Head{}, err
	}
	if !h.consistent() {
		return Head{}, errHead
	}
	return h, nil
}

// consistent says whether a stream can exist of which h is a head.
func (h *Head) consistent() bool {
	if h.Number == 0 || len(h.Recent) > MaxRecent {
		return false
	}
	for i := range h.Snapshots {
		if s := &h.Snapshots[i]; s.Sequence > h.Last || len(s.State) > MaxSnapshot {
			return false
		}
	}
	for i := range h.Recent {
		r := &h.Recent[i]
		if r.Commit == 0 || r.Commit > h.Number || r.First == 0 || r.Last < r.First-1 || r.Last > h.Last {
			return false
		}
		if i > 0 && (r.Commit < h.Recent[i-1].Commit || r.First != h.Recent[i-1].Last+1) {
			return false
		}
	}
	return true
}
