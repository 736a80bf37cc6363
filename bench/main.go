// Command bench measures Longrun against the plain way of doing it by hand on
// Dapr, side by side in one run: one process generates the load and hosts both,
// on one sidecar and the same components. `make bench` runs it.
//
// Ours enters where the HTTP layer does (actors.System, workflows.Commands), the
// baseline at the actor invocation, or as a bare Dapr workflow on the same worker.
// Only successes count; failures are shown. Some rows run the bank as users do.
//
// It prints a table and writes bench.json, a list of
//
//	{"name","unit","value","baseline","ratio","goal","better","met"}
//
// where goal is compared with ratio (value / baseline) if there is a baseline,
// else with value. A row without a goal on this store has goal null and is met.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal kills
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	store := flag.String("store", "sqlite", "sqlite, postgres or redis")
	pattern := flag.String("rows", "", "a regular expression: the rows to measure")
	out := flag.String("out", filepath.Join(".data", "bench.json"), "the file for the results")
	app := flag.String("app", filepath.Join(".cache", "bin", "bank"), "the bank, for the rows that run it")
	flag.Parse()
	wanted, err := regexp.Compile(*pattern)
	if err != nil {
		return fmt.Errorf("-rows: %w", err)
	}
	l, err := newLab(ctx, *store, *app)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close(ctx)) }()
	results, err := measure(ctx, l, wanted)
	printTable(os.Stdout, *store, results)
	return errors.Join(err, write(*out, results))
}

// errLeftOut says that a row was not measured, because something is not there
// that not every machine has.
var errLeftOut = errors.New("left out")

// measure goes through the rows. A row that fails does not keep the others from
// being measured.
func measure(ctx context.Context, l *lab, wanted *regexp.Regexp) (results []result, err error) {
	for i := range rows {
		r := &rows[i]
		if !wanted.MatchString(r.name) || ctx.Err() != nil {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s ... ", r.name)
		m, rowErr := r.measure(ctx, l)
		switch {
		case errors.Is(rowErr, errLeftOut):
			fmt.Fprintln(os.Stderr, rowErr)
			continue
		case rowErr != nil:
			fmt.Fprintln(os.Stderr, "failed:", rowErr)
			err = errors.Join(err, fmt.Errorf("%s: %w", r.name, rowErr))
			continue
		}
		result := r.result(l.store, m)
		fmt.Fprintln(os.Stderr, result.brief())
		results = append(results, result)
	}
	return results, errors.Join(err, context.Cause(ctx))
}

func write(name string, results []result) error {
	data, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, append(data, '\n'), 0o644)
}
