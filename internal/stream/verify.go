package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Report is what Verify found.
type Report struct {
	OK      bool
	Commits uint64 // sound commits, up to the problem
	Events  uint64 // in those
	Head    uint64 // the commit that the head names, 0 if there is no head
	Problem string // empty if OK
}

// Verify reads the whole stream and its head and checks all that can be
// checked: the place that each commit names, its checksum, the chain of hashes,
// that sequences have no gap and times do not run back, and that the head tells
// the truth about its commit and about the recent ids. An error means that the
// stream could not be read, by this release at least; what is wrong with it is
// in the report.
func (r Reader) Verify(ctx context.Context, id ID) (Report, error) {
	head, damage, err := r.readHead(ctx, id) // before the commits, which may grow meanwhile
	if err != nil {
		return Report{}, err
	}
	if errors.Is(damage, ErrFormat) {
		return Report{}, fmt.Errorf("%s, head: %w", id, damage)
	}
	report := Report{}
	if head != nil {
		report.Head = head.Number
	}
	var (
		recent []RecentID
		at     time.Time
	)
	for raw, err := range r.Commits(ctx, id, 1, 0) {
		if err == nil && raw.Number > 1 && raw.At.Before(at) {
			err = &CorruptError{Stream: id, Number: raw.Number, Problem: "its time is before that of the commit before it"}
		}
		if errors.Is(err, ErrCorrupt) {
			report.Problem = err.Error()
			return report, nil
		}
		if err != nil {
			return Report{}, err
		}
		at = raw.At
		report.Commits = raw.Number
		report.Events = raw.Last()
		recent = Remember(recent, &raw.Commit)
		if head != nil && raw.Number == head.Number {
			damage = head.compare(&raw, recent)
		}
	}
	if _, err := r.confirmEnd(ctx, id, report.Commits+1, false); errors.Is(err, ErrCorrupt) {
		report.Problem = err.Error()
		return report, nil
	} else if err != nil {
		return Report{}, err
	}
	if head != nil && head.Number > report.Commits {
		damage = fmt.Errorf("commit %d does not exist", head.Number)
	}
	if damage != nil {
		report.Problem = fmt.Sprintf("head of %s: %s", id, damage)
		return report, nil
	}
	report.OK = true
	return report, nil
}

// compare says in what h differs from its commit, up to which the newest
// appends are recent.
func (h *Head) compare(raw *Raw, recent []RecentID) error {
	if !h.describes(raw) {
		return fmt.Errorf("it does not describe commit %d", raw.Number)
	}
	if n := len(h.Recent); n > len(recent) || !slices.Equal(h.Recent, recent[len(recent)-n:]) {
		return errors.New("its recent ids are not those of the stream")
	}
	return nil
}
