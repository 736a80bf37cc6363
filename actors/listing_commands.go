package actors

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/longrun-dev/longrun/internal/flow"
	"github.com/longrun-dev/longrun/internal/stream"
)

// maxExamined is how many rows one page looks at: a filter that lets few through
// gets pages that are not full, and a cursor.
const maxExamined = 5000

// Commands lists recorded commands, newest first. It merges the journals of all
// hosts that ever wrote. A row says how its command was first written; how those
// that run on stand is asked of their streams.
func (s *System) Commands(ctx context.Context, command, status, cursor string, limit int) (items []flow.Progress, next string, err error) {
	before, err := parsePlace(cursor)
	if err != nil {
		return nil, "", err
	}
	walks, err := s.walks(ctx, before.at)
	if err != nil {
		return nil, "", faultOf(err)
	}
	seen := map[string]bool{}
	last := before
	for examined := 0; examined < maxExamined; {
		var batch []listed
		for len(batch) < limit-len(items) && examined < maxExamined {
			l, err := newest(ctx, s, walks)
			if err != nil {
				return nil, "", faultOf(err)
			}
			if l == nil {
				break
			}
			if !l.place.before(before) {
				continue
			}
			examined++
			last = l.place
			if (command == "" || l.Command == command) && !seen[l.ID] && l.mayBe(status) {
				seen[l.ID] = true
				batch = append(batch, *l)
			}
		}
		if len(batch) == 0 && examined < maxExamined {
			return items, "", nil
		}
		progress, err := s.listedProgress(ctx, batch)
		if err != nil {
			return nil, "", faultOf(err)
		}
		for _, p := range progress {
			if status == "" || p.Status == status {
				items = append(items, p)
			}
		}
		if len(items) >= limit {
			break
		}
	}
	return items, last.encode(), nil
}

// mayBe says whether a command can have a status by now. One that ran on when its
// row was written can have any.
func (r *row) mayBe(status string) bool {
	switch r.Status {
	case flow.StatusCompleted, flow.StatusRejected, flow.StatusInvalid:
		return status == "" || status == r.Status
	}
	return true
}

// listedProgress reads the progress of commands, without those whose flush
// failed after their row was written.
func (s *System) listedProgress(ctx context.Context, batch []listed) ([]flow.Progress, error) {
	keys := make([]string, len(batch))
	for i, l := range batch {
		keys[i] = commandStream(l.ID).CommitKey(1)
	}
	if len(keys) == 0 {
		return nil, nil
	}
	values, err := s.store.Read(ctx, keys)
	if err != nil {
		return nil, err
	}
	found := make([]*flow.State, len(batch))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(16)
	for i, value := range values {
		if value == nil {
			continue
		}
		id := batch[i].ID
		c, err := stream.Decode(commandStream(id), 1, value)
		if err != nil {
			return nil, errors.Join(err, group.Wait())
		}
		st, err := stateOf(id, &c)
		if err != nil {
			return nil, errors.Join(err, group.Wait())
		}
		if found[i] = st; st.Progress.Ended() {
			continue
		}
		group.Go(func() (err error) {
			found[i], err = s.readCommand(ctx, id)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var items []flow.Progress
	for _, st := range found {
		if st != nil {
			items = append(items, st.Progress)
		}
	}
	return items, nil
}

// place is where a row stands among all journals: newest first, then by journal,
// commit and row, last first.
type place struct {
	at      time.Time
	journal string
	number  uint64
	row     int
}

func (p place) before(q place) bool {
	if q.at.IsZero() {
		return true
	}
	return cmp.Or(p.at.Compare(q.at), cmp.Compare(p.journal, q.journal), cmp.Compare(p.number, q.number), cmp.Compare(p.row, q.row)) < 0
}

func (p place) encode() string {
	return encodeCursor(strconv.FormatInt(p.at.UnixMicro(), 10), p.journal, strconv.FormatUint(p.number, 10), strconv.Itoa(p.row))
}

// listed is a journal's row with its place.
type listed struct {
	row
	place
}

// walk goes through one journal backwards.
type walk struct {
	id     stream.ID
	number uint64   // the next commit to read, downwards; 0 at the end
	rows   []listed // read and not yet taken, the newest last
}

// walkPage is how many journal commits are read at a time.
const walkPage = 16

// walks finds every journal's newest commit up to a moment.
func (s *System) walks(ctx context.Context, upTo time.Time) ([]*walk, error) {
	if upTo.IsZero() {
		upTo = time.UnixMicro(math.MaxInt64)
	}
	keys, cursor, err := s.keys(ctx, journalType, 0, 1, 1000)
	for err == nil && cursor != "" {
		var more []string
		shard, from, _ := parseKeysCursor(cursor)
		more, cursor, err = s.keys(ctx, journalType, shard, from, 1000)
		keys = append(keys, more...)
	}
	if err != nil {
		return nil, err
	}
	walks := make([]*walk, len(keys))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i, key := range keys {
		group.Go(func() error {
			id := stream.ID{Type: journalType, Key: key}
			number, err := s.reader.FindTime(ctx, id, upTo)
			walks[i] = &walk{id: id, number: number}
			return err
		})
	}
	return walks, group.Wait()
}

// newest takes the newest row of all walks; nil when they are at their ends.
func newest(ctx context.Context, s *System, walks []*walk) (*listed, error) {
	var from *walk
	for _, w := range walks {
		if err := w.fill(ctx, s); err != nil {
			return nil, err
		}
		if len(w.rows) > 0 && (from == nil || from.rows[len(from.rows)-1].place.before(w.rows[len(w.rows)-1].place)) {
			from = w
		}
	}
	if from == nil {
		return nil, nil
	}
	l := from.rows[len(from.rows)-1]
	from.rows = from.rows[:len(from.rows)-1]
	return &l, nil
}

func (w *walk) fill(ctx context.Context, s *System) error {
	if len(w.rows) > 0 || w.number == 0 {
		return nil
	}
	from := max(w.number, walkPage) - walkPage + 1
	for raw, err := range s.reader.Commits(ctx, w.id, from, w.number) {
		if err != nil {
			return err
		}
		var r recorded
		if err := json.Unmarshal(raw.Appends[0].Events[0].Data, &r); err != nil {
			return fmt.Errorf("%s, commit %d: %w", w.id, raw.Number, err)
		}
		for i, row := range r.Commands {
			w.rows = append(w.rows, listed{row, place{raw.At, w.id.Key, raw.Number, i}})
		}
	}
	w.number = from - 1
	return nil
}
