package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/longrun-dev/longrun/internal/flow"
)

const (
	nightFew, nightMany = 10_000, 100_000 // accounts
	nightCommand        = "bank.accrue-interest-for-all"
)

// night is what batches over all accounts of the bank came to, as users run it:
// first of few accounts, then of more than are kept open.
type night struct {
	few   []time.Duration // batches over few accounts
	many  time.Duration   // a batch over many
	reads []time.Duration // of its progress over HTTP, while it ran
	first time.Duration   // for an item, in the first quarter of those that were recorded
	last  time.Duration   // in the last quarter
	grown []growth        // from when few accounts were open
	fails tally           // reads of progress that failed
	err   error           // why there is nothing
}

// theNight runs the batches once, for all the rows that they are measured for.
func (l *lab) theNight(ctx context.Context) (*night, error) {
	if l.night != nil {
		return l.night, l.night.err
	}
	l.night = &night{}
	err := l.night.run(ctx, l)
	if err != nil {
		l.night.err = errors.New("it is measured together with a row that failed")
	}
	return l.night, err
}

func (n *night) run(ctx context.Context, l *lab) (err error) {
	if err := l.unhost(ctx); err != nil {
		return err
	}
	r, err := l.runBank()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.stack.Stop()) }()
	c := &caller{url: r.stack.API[0]}
	if err := c.openAccounts(ctx, 0, nightFew); err != nil {
		return err
	}
	for _, day := range []string{"2020-01-01", "2020-01-02"} {
		took, _, _, err := c.batch(ctx, day, nightFew)
		if err != nil {
			return err
		}
		n.few = append(n.few, took)
	}
	watch, err := watchMemory(r.stack, "app-1", "sidecar-1")
	if err != nil {
		return err
	}
	defer func() {
		grown, failed := watch.stop()
		n.grown, err = grown, errors.Join(err, failed)
	}()
	if err := c.openAccounts(ctx, nightFew, nightMany); err != nil {
		return err
	}
	if n.many, n.reads, n.fails, err = c.batch(ctx, "2020-01-03", nightMany); err != nil {
		return err
	}
	n.first, n.last, err = c.quarters(ctx, "2020-01-03", nightMany)
	return err
}

// openAccounts opens accounts through the bulk API.
func (c *caller) openAccounts(ctx context.Context, from, to int) error {
	var lines []any
	for i := from; i < to; i++ {
		account := strconv.Itoa(i)
		lines = append(lines, map[string]any{
			"command": "bank.open-account", "id": "open-" + account,
			"parameters": map[string]any{"account": account, "owner": "account " + account, "opened": "1993-01-01"},
		})
	}
	return c.bulk(ctx, lines)
}

// batch accrues the interest of a day on all accounts, which are n, and reads the
// progress all the while. Its id is the day.
func (c *caller) batch(ctx context.Context, day string, n int) (took time.Duration, reads []time.Duration, fails tally, err error) {
	var p flow.Progress
	if err := c.post(ctx, "/commands/"+nightCommand, day, map[string]string{"day": day}, &p); err != nil {
		return 0, nil, fails, err
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		start := time.Now()
		err := c.get(ctx, "/commands/"+nightCommand+"/"+day, &p)
		if err == nil && p.Ended() {
			break
		}
		if err != nil {
			fails.failed++
			fails.first = cmp.Or(fails.first, err)
		} else {
			reads = append(reads, time.Since(start))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, nil, fails, ctx.Err()
		}
	}
	if p.Status != flow.StatusCompleted || p.Items == nil || p.Items.Succeeded != n {
		return 0, nil, fails, fmt.Errorf("the batch over %d accounts is %s with %+v", n, p.Status, p.Items)
	}
	return p.EndedAt.Sub(p.CreatedAt), reads, fails, nil
}

// quarters is how long an item took in the first quarter of a batch's n items,
// and in the last, as its stream tells it.
func (c *caller) quarters(ctx context.Context, id string, n int) (first, last time.Duration, err error) {
	type mark struct {
		items int
		at    time.Time
	}
	var marks []mark
	items := 0
	for from := uint64(1); from != 0; {
		var page struct {
			Items []struct {
				Name    string `json:"name"`
				Data    flow.ItemsRecorded
				Context struct{ At time.Time }
			}
			Next uint64
		}
		if err := c.get(ctx, "/commands/"+nightCommand+"/"+id+"/events?limit=100&from="+strconv.FormatUint(from, 10), &page); err != nil {
			return 0, 0, err
		}
		for _, e := range page.Items {
			if e.Name == flow.EventItemsRecorded {
				items += len(e.Data.Items)
				marks = append(marks, mark{items, e.Context.At})
			}
		}
		from = page.Next
	}
	if items != n {
		return 0, 0, fmt.Errorf("the stream of batch %s records %d items of %d", id, items, n)
	}
	perItem := func(a, b mark) time.Duration { return b.at.Sub(a.at) / time.Duration(max(1, b.items-a.items)) }
	at := func(items int) mark {
		for _, m := range marks {
			if m.items >= items {
				return m
			}
		}
		return marks[len(marks)-1]
	}
	return perItem(marks[0], at(n/4)), perItem(at(n*3/4), marks[len(marks)-1]), nil
}

// hundredThousand compares the time of a batch of 100,000 with that of 10,000.
func hundredThousand(ctx context.Context, l *lab) (measured, error) {
	n, err := l.theNight(ctx)
	if err != nil {
		return measured{}, err
	}
	few := seconds(n.few)
	return measured{value: n.many.Seconds(), baseline: median(few), note: fmt.Sprintf("over %d: %.1f s", nightFew, few)}, nil
}

// trend compares what an item takes at the end of that batch with its beginning.
func trend(ctx context.Context, l *lab) (measured, error) {
	n, err := l.theNight(ctx)
	if err != nil {
		return measured{}, err
	}
	return measured{value: n.last.Seconds() * 1000, baseline: n.first.Seconds() * 1000}, nil
}

// nightMemory is by how much the application or the sidecar grew, whichever grew
// more, while 90,000 more accounts were opened and the batch ran.
func nightMemory(ctx context.Context, l *lab) (measured, error) {
	n, err := l.theNight(ctx)
	if err != nil {
		return measured{}, err
	}
	var m measured
	for _, g := range n.grown {
		m.value = max(m.value, g.peak-g.before)
		if m.note != "" {
			m.note += ", "
		}
		m.note += fmt.Sprintf("%s %.0f to %.0f", g.process, g.before, g.peak)
	}
	return m, nil
}

// progressTime is the median time of a read of that batch's progress over HTTP.
func progressTime(ctx context.Context, l *lab) (measured, error) {
	n, err := l.theNight(ctx)
	if err != nil {
		return measured{}, err
	}
	m := measured{
		value: milliseconds(n.reads, 0.5), note: fmt.Sprintf("%d reads, p95 %.1f ms", len(n.reads), milliseconds(n.reads, 0.95)),
	}
	m.faults.add(n.fails)
	return m, nil
}

func seconds(times []time.Duration) []float64 {
	all := make([]float64, len(times))
	for i, t := range times {
		all[i] = t.Seconds()
	}
	return all
}
