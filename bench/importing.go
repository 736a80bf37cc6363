package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/longrun-dev/longrun/tests/servers"
)

// transactions is the file of the import, in the folder that LONGRUN_BERKA names.
const transactions = "transactions-1993.csv"

// running is the bank on a stack of its own, as `make run` starts it.
type running struct {
	stack *servers.Stack
	ready time.Duration
}

var readyLine = regexp.MustCompile(`ready in ([0-9.]+) s`)

// runBank starts the bank with the defaults of `make run`, at free ports and
// without data.
func (l *lab) runBank() (*running, error) {
	app, err := filepath.Abs(l.bank)
	if err != nil {
		return nil, err
	}
	options := l.options
	options.App, options.Args = []string{app}, []string{"--restart"}
	stack, err := servers.StartStack(options)
	if err != nil {
		return nil, err
	}
	printed, err := os.ReadFile(filepath.Join(stack.Dir(), "stack.log"))
	if err != nil {
		return nil, errors.Join(err, stack.Stop())
	}
	m := readyLine.FindSubmatch(printed)
	if m == nil {
		return nil, errors.Join(errors.New("the stack does not say when it was ready"), stack.Stop())
	}
	seconds, err := strconv.ParseFloat(string(m[1]), 64)
	return &running{stack, time.Duration(seconds * float64(time.Second))}, err
}

// startTime measures how long `make run` takes until the bank can serve, once
// everything is built.
func startTime(_ context.Context, l *lab) (measured, error) {
	r, err := l.runBank()
	if err != nil {
		return measured{}, err
	}
	return measured{value: r.ready.Seconds()}, r.stack.Stop()
}

// importYear measures how long `bank import` takes for the transactions of 1993
// into an empty bank, all its checks included.
func importYear(ctx context.Context, l *lab) (m measured, err error) {
	folder := os.Getenv("LONGRUN_BERKA")
	if folder == "" {
		folder = filepath.Join("..", "shared", "data", "berka")
	}
	file := filepath.Join(folder, transactions)
	if _, err := os.Stat(file); err != nil {
		return m, fmt.Errorf("%w: %s is not there; LONGRUN_BERKA names its folder", errLeftOut, file)
	}
	if err := l.unhost(ctx); err != nil {
		return m, err
	}
	r, err := l.runBank()
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, r.stack.Stop()) }()
	start := time.Now()
	out, err := exec.CommandContext(ctx, l.bank, "import", "--url", r.stack.API[0], file).CombinedOutput()
	if err != nil {
		return m, fmt.Errorf("bank import: %w\n%s", err, out)
	}
	return measured{value: time.Since(start).Seconds()}, nil
}
