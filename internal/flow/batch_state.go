package flow

import (
	"encoding/json"
	"time"
)

// The sources of the members of a round that repeats another: they stand where
// the first round has the shards of the index.
const (
	SourceFailed = 0 // what failed; positions are sequences of the batch's stream
	SourceLeft   = 1 // what did not run; positions count BatchState.Left
	retrySources = 2
)

// The events of a batch's stream beside those of every command.
const (
	EventGroupFixed            = "group-fixed"
	EventMembers               = "members"
	EventMembersSealed         = "members-sealed"
	EventItemsRecorded         = "items-recorded"
	EventPaused                = "paused"
	EventResumed               = "resumed"
	EventStopped               = "stopped"
	EventRetryStarted          = "retry-started"
	EventCompletedWithFailures = "completed-with-failures"
)

// GroupFixed says over which group a batch runs, and as of when.
type GroupFixed struct {
	Group   json.RawMessage `json:"group"`
	AsOf    time.Time       `json:"asOf"`
	Sources int             `json:"sources"` // how many shards the index has
}

// Members is one chunk of the group: what was found in one shard of the index
// from one position to another (of the first round), or among the failures that
// are recorded up to a sequence (of later ones).
type Members struct {
	Round   int      `json:"round"`
	Shard   int      `json:"shard"`
	From    uint64   `json:"from"` // the position after which it begins
	To      uint64   `json:"to"`   // what is covered now
	Members []Member `json:"members,omitempty"`
	Last    bool     `json:"last,omitempty"` // of the shard
}

// Member is one item of a batch.
type Member struct {
	Key      string `json:"key"`
	Sequence uint64 `json:"sequence,omitempty"` // at which it was judged
	Try      int    `json:"try,omitempty"`      // of its id: a rejected item is repeated under a new one
	Fault    string `json:"fault,omitempty"`    // why it could not be judged: then it does not run
}

// MembersSealed says that the membership of a round is complete.
type MembersSealed struct {
	Round int `json:"round"`
	Total int `json:"total"`
}

// ItemsRecorded says what became of some items of one chunk.
type ItemsRecorded struct {
	Round int    `json:"round"`
	Chunk int    `json:"chunk"`
	Items []Item `json:"items"`
}

// Item is what became of one member.
type Item struct {
	Index    int    `json:"index"` // in its chunk
	Key      string `json:"key"`
	Status   string `json:"status"` // completed, or one of the others that a command ends with
	Sequence uint64 `json:"sequence,omitempty"`
	Reason   string `json:"reason,omitempty"`
	Detail   string `json:"detail,omitempty"`
	Attempts int    `json:"attempts"`
	Try      int    `json:"try,omitempty"`
	Unknown  bool   `json:"unknown,omitempty"` // it may have happened, or may yet
}

// Again is the member that repeats a failed item: under a new id, unless nobody
// knows what became of it under the old one.
func (i *Item) Again() Member {
	m := Member{Key: i.Key, Try: i.Try + 1}
	if i.Unknown {
		m.Try = i.Try
	}
	return m
}

// Succeeded says whether the item did what it should.
func (i *Item) Succeeded() bool { return i.Status == StatusCompleted }

// Stopped says that a batch stops because too much failed.
type Stopped struct {
	Failures int `json:"failures"`
}

// RetryStarted begins another round, over what failed in the last.
type RetryStarted struct {
	Round int `json:"round"`
}

// CompletedWithFailures ends a batch of which some items failed, or that was
// stopped before all had run.
type CompletedWithFailures struct {
	Reason string `json:"reason,omitempty"`
	Detail string `json:"detail,omitempty"`
}

// BatchState is where a batch stands.
type BatchState struct {
	Group   json.RawMessage `json:"group"`
	AsOf    time.Time       `json:"asOf"`
	Round   int             `json:"round"`
	Since   uint64          `json:"since"`   // the sequence at which the round began
	Sources int             `json:"sources"` // of members: shards of the index, or what a repeated round has
	Covered map[int]uint64  `json:"covered,omitempty"`
	Done    map[int]bool    `json:"done,omitempty"` // shards that are covered to their ends
	Sealed  bool            `json:"sealed,omitempty"`
	Chunks  []ChunkState    `json:"chunks,omitempty"` // of this round
	Left    []ChunkState    `json:"left,omitempty"`   // of the last round, when it was stopped: what did not run
	Found   int             `json:"found"`            // members of this round so far
	Failed  int             `json:"failed"`           // of this round
	Paused  bool            `json:"paused,omitempty"`
	Stopped bool            `json:"stopped,omitempty"`
}

// ChunkState is where one chunk stands.
type ChunkState struct {
	Sequence uint64 `json:"sequence"` // of its Members event
	Size     int    `json:"size"`
	Open     int    `json:"open"`            // items without an outcome
	Ended    []byte `json:"ended,omitempty"` // a bit for each item with one; none once all have
}

// Has says whether an item has an outcome.
func (c *ChunkState) Has(index int) bool {
	return c.Open == 0 || index/8 < len(c.Ended) && c.Ended[index/8]&(1<<(index%8)) != 0
}

func (c *ChunkState) take(index int) {
	if c.Ended == nil {
		c.Ended = make([]byte, (c.Size+7)/8)
	}
	c.Ended[index/8] |= 1 << (index % 8)
	if c.Open--; c.Open == 0 {
		c.Ended = nil
	}
}

// Open counts the items of this round that have no outcome yet.
func (b *BatchState) Open() int {
	n := 0
	for i := range b.Chunks {
		n += b.Chunks[i].Open
	}
	return n
}

func (s *State) groupFixed(e GroupFixed, _ time.Time) {
	s.Progress.Status = StatusRunning
	s.Progress.Items = &Items{}
	s.Batch = &BatchState{Group: e.Group, AsOf: e.AsOf, Round: 1, Sources: e.Sources}
}

func (s *State) members(e Members, _ time.Time) {
	b := s.Batch
	if b.Covered == nil { // an empty map is left out of the JSON
		b.Covered = map[int]uint64{}
	}
	b.Covered[e.Shard] = e.To
	if e.Last {
		if b.Done == nil {
			b.Done = map[int]bool{}
		}
		b.Done[e.Shard] = true
	}
	if len(e.Members) > 0 {
		b.Chunks = append(b.Chunks, ChunkState{Sequence: s.Sequence, Size: len(e.Members), Open: len(e.Members)})
	}
	b.Found += len(e.Members)
	items := s.Progress.Items
	if b.Round == 1 {
		items.Total += len(e.Members)
		items.Pending += len(e.Members)
	}
}

func (s *State) membersSealed(MembersSealed, time.Time) {
	b := s.Batch
	b.Sealed, b.Covered, b.Done, b.Left = true, nil, nil, nil
}

func (s *State) itemsRecorded(e ItemsRecorded, _ time.Time) {
	b, items := s.Batch, s.Progress.Items
	chunk := &b.Chunks[e.Chunk]
	for i := range e.Items {
		item := &e.Items[i]
		chunk.take(item.Index)
		items.Pending--
		if item.Succeeded() {
			items.Succeeded++
		} else {
			items.Failed++
			b.Failed++
		}
	}
}

func (s *State) retryStarted(e RetryStarted, _ time.Time) {
	b, p := s.Batch, &s.Progress
	p.Status, p.EndedAt, p.Error = StatusRunning, nil, nil
	p.Items.Pending += p.Items.Failed
	p.Items.Failed = 0
	var left []ChunkState
	for _, c := range b.Chunks {
		if c.Open > 0 {
			left = append(left, c)
		}
	}
	*b = BatchState{
		Group: b.Group, AsOf: b.AsOf, Round: e.Round, Since: s.Sequence, Sources: retrySources,
		Covered: map[int]uint64{SourceFailed: b.Since}, Left: left,
	}
}
