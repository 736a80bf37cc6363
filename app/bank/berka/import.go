package berka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Options says where to import to, and who hears of it. Only URL must be given.
type Options struct {
	URL       string
	HTTP      *http.Client                        // nil: a client without limits on time
	Patience  time.Duration                       // without progress until it gives up; 0: 30 s
	FirstWait time.Duration                       // before the first retry; 0: 100 ms
	Report    func(error)                         // hears each fault of the file, refusal, difference and wait, one at a time; nil: nobody
	Progress  func(stage string, done, total int) // hears how far a stage is; nil: nobody
}

func (o Options) withDefaults() Options {
	if o.HTTP == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.MaxIdleConnsPerHost = readers
		o.HTTP = &http.Client{Transport: transport}
	}
	if o.Patience == 0 {
		o.Patience = 30 * time.Second
	}
	if o.FirstWait == 0 {
		o.FirstWait = 100 * time.Millisecond
	}
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	report, mu := o.Report, sync.Mutex{}
	o.Report = func(err error) {
		if report != nil {
			mu.Lock()
			defer mu.Unlock()
			report(err)
		}
	}
	return o
}

// importer is one import under way.
type importer struct {
	*client
	*survey
	file     io.ReadSeeker
	report   func(error)
	progress func(stage string, done, total int)
	sum      Summary
}

// Import imports a file; it reads it twice. Doing it again changes nothing and
// checks again. What is wrong with single lines, commands or balances is
// reported, counted in the Summary, and does not stop it; the error says why it
// could not go on.
func Import(ctx context.Context, file io.ReadSeeker, o Options) (Summary, error) {
	started := time.Now()
	o = o.withDefaults()
	i := &importer{
		client: &client{strings.TrimRight(o.URL, "/"), o.HTTP, o.Patience, o.FirstWait, o.Report},
		file:   file, report: o.Report, progress: o.Progress,
	}
	var err error
	if i.survey, err = look(file, o.Report); err != nil {
		return Summary{}, err
	}
	i.sum.Accounts, i.sum.Transactions, i.sum.Faults = len(i.accounts), i.transactions, i.faults
	for _, step := range []func(context.Context) error{i.open, i.raise, i.post, i.check} {
		if err = step(ctx); err != nil {
			break
		}
	}
	i.sum.Took = time.Since(started)
	return i.sum, err
}

// open opens the accounts; that one exists already is fine.
func (i *importer) open(ctx context.Context) error {
	next, stop := iter.Pull(func(yield func(command) bool) {
		for _, a := range i.accounts {
			if !yield(openAccount(a.id)) {
				return
			}
		}
	})
	defer stop()
	return i.all(ctx, "opening", len(i.accounts), func() (command, bool, error) {
		c, more := next()
		return c, more, nil
	}, func(c command, a answer) {
		if a.Error != nil && a.Error.Code != "conflict" {
			i.refused(c, a)
		}
	})
}

// raise raises the limit of the accounts that the file takes below it.
func (i *importer) raise(ctx context.Context) error {
	var needed []command
	for _, a := range i.accounts {
		if a.lowest >= 0 {
			continue
		}
		now, _, err := i.number(ctx, a.id, "overdraft-limit", strong)
		if err != nil {
			return err
		}
		if need := -a.lowest; need > now {
			needed = append(needed, raiseLimit(a.id, need))
		}
	}
	k := 0
	return i.all(ctx, "limits", len(needed), func() (command, bool, error) {
		if k == len(needed) {
			return command{}, false, nil
		}
		k++
		return needed[k-1], true, nil
	}, func(c command, a answer) {
		if a.Error != nil {
			i.refused(c, a)
			return
		}
		i.sum.Limits++
	})
}

// post posts the transactions, in the order of the file.
func (i *importer) post(ctx context.Context) error {
	if _, err := i.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	next, stop := iter.Pull2(Transactions(i.file))
	defer stop()
	return i.all(ctx, "posting", i.transactions, func() (command, bool, error) {
		for {
			t, err, more := next()
			var line *LineError
			if errors.As(err, &line) {
				continue // was reported in the first pass
			}
			return post(t), more, err
		}
	}, func(c command, a answer) {
		if a.Error != nil || a.Result == nil {
			i.refused(c, a)
			return
		}
		account := i.byID[c.about]
		if !account.posted {
			account.posted, account.drift = true, *a.Result-c.transaction.After
		}
		account.sequence = a.Sequence
	})
}

// all sends commands and shows how far it is.
func (i *importer) all(ctx context.Context, stage string, total int, next func() (command, bool, error), answered func(command, answer)) error {
	done := 0
	i.progress(stage, done, total)
	b := &bulk{client: i.client, next: next, answered: func(c command, a answer) {
		answered(c, a)
		done++
		i.progress(stage, done, total)
	}}
	return b.send(ctx)
}

func (i *importer) refused(c command, a answer) {
	i.sum.Refused++
	if a.Error == nil {
		a.Error = &problem{Code: "an answer without the balance"}
	}
	i.report(fmt.Errorf("%s, account %s: %w", c, c.about, a.Error))
}
