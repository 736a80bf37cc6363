package actors

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/longrun-dev/longrun/internal/stream"
)

// journalType is the entity type of journals. A journal is what one worker of
// one host's group commit wrote, in order: the commands of each flush. It makes
// commands listable without a write of their own, because it rides in the
// transaction that writes them. It lists; it decides nothing: a row whose
// command stream does not exist is of a flush that failed, and is passed over.
const journalType = "longrun.journal"

const eventRecorded = "recorded"

// row is one command in a journal, with the status it was first written with.
type row struct {
	ID      string `json:"id"`
	Command string `json:"command"`
	Status  string `json:"status"`
}

type recorded struct {
	Commands []row `json:"commands"`
}

// journal is owned by one worker of this host; nobody else writes its stream.
type journal struct {
	id     stream.ID
	now    func() time.Time
	number uint64
	first  uint64
	last   time.Time
	prev   stream.Hash
}

func newJournal(now func() time.Time) *journal {
	id := now().UTC().Format("20060102t150405.000000") + "-" + uuid.NewString()
	return &journal{id: stream.ID{Type: journalType, Key: id}, now: now, first: 1}
}

// page is one journal commit on its way.
type page struct {
	entry  stream.Entry
	commit stream.Commit
}

// next makes the journal commit for a flush of groups; nil if it has no rows.
func (j *journal) next(groups []*group) *page {
	if j == nil {
		return nil
	}
	var rows []row
	for _, g := range groups {
		rows = append(rows, g.rows...)
	}
	if len(rows) == 0 {
		return nil
	}
	data, err := json.Marshal(recorded{rows})
	if err != nil {
		panic(err) // strings always marshal
	}
	at := stamp(j.now(), j.last)
	id := uuid.New()
	p := &page{commit: stream.Commit{
		Stream: j.id, Number: j.number + 1, ID: id, First: j.first, Prev: j.prev, At: at,
		Appends: []stream.Append{{ID: id.String(), Events: []stream.Event{{Name: eventRecorded, Version: 1, Data: data}}}},
	}}
	p.entry = stream.Entry{Key: j.id.CommitKey(p.commit.Number), Value: p.commit.Encode(), Partition: j.id.Partition()}
	return p
}

// landed says that a page was written.
func (j *journal) landed(p *page) {
	if p == nil {
		return
	}
	j.follow(p.commit, p.entry.Value)
}

// found tells the journal what is stored where a page should be: the page, an
// earlier one of ours whose flush had seemed to fail, or nothing.
func (j *journal) found(p *page, value []byte) {
	if value == nil {
		return
	}
	if c, err := stream.Decode(j.id, p.commit.Number, value); err == nil {
		j.follow(c, value)
	}
}

func (j *journal) follow(c stream.Commit, value []byte) {
	j.number, j.first, j.last, j.prev = c.Number, c.Last()+1, c.At, stream.HashOf(value)
}

// stamp is the time of a commit: now, in the resolution that is stored, but
// never before what came before it.
func stamp(now, before time.Time) time.Time {
	at := now.UTC().Truncate(time.Microsecond)
	if at.Before(before) {
		if at = before.UTC().Truncate(time.Microsecond); at.Before(before) {
			at = at.Add(time.Microsecond)
		}
	}
	return at
}
