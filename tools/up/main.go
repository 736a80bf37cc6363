// Command up starts Longrun on one machine: the broker, placement, the
// scheduler, and the app with a sidecar for each replica of it. It is the only
// place that knows how; `make run`, the tests and the benchmarks all use it.
//
//	up [flags] -- APP [args...]
//
// It builds the stack binary (tools/stack) when that is missing or older than
// its sources, waits until the app answers GET /readyz, and stops everything in
// order when it is told to. Nothing it started outlives it, even if it is killed.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// config is what the flags say.
type config struct {
	root, data, components, daprConfig string

	app      []string
	noApp    bool
	replicas int
	appHTTP  bool

	freePorts bool
	restart   bool

	readyPath    string
	readyTimeout time.Duration
	status       string
	logLevel     string
	topics       string
	syncMessages bool
	buildOnly    bool
}

func main() {
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "up:", explain(err))
		if code == 0 {
			code = 1
		}
	}
	os.Exit(code)
}

// run returns the exit code of the whole, and the error to tell the user.
func run(args []string) (int, error) {
	begin := time.Now()
	cfg, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return 0, nil
	}
	if err != nil {
		return 2, err
	}
	stack, err := ensureStack(cfg.root, os.Stderr)
	if err != nil || cfg.buildOnly {
		return 0, err
	}
	built := time.Now()

	unlock, err := lockData(cfg.data)
	if err != nil {
		return 0, err
	}
	defer unlock()
	plan, err := newPlan(cfg, stack)
	if err != nil {
		return 0, err
	}
	defer plan.ports.release()

	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	if built.Sub(begin) > time.Second {
		begin = built
	}
	return newRunner(cfg, plan, signals, begin).run()
}

// parse reads the flags. Folders that are not given are below the repository;
// those that are given are relative to the current folder, as usual.
func parse(args []string) (config, error) {
	cfg := config{}
	root, err := findRoot()
	if err != nil {
		return cfg, err
	}
	cfg.root = root
	flags := flag.NewFlagSet("up", flag.ContinueOnError)
	flags.StringVar(&cfg.data, "data", filepath.Join(root, ".data"), "folder for everything that is kept: store, messages, reminders, logs")
	flags.StringVar(&cfg.components, "components", filepath.Join(root, "components", "embedded"), "folder with the set of Dapr components to use")
	flags.StringVar(&cfg.daprConfig, "dapr-config", filepath.Join(root, "components", "config.yaml"), "file with a Dapr Configuration for the sidecars; empty: none")
	flags.IntVar(&cfg.replicas, "replicas", 1, "how many replicas of the app, each with a sidecar")
	flags.BoolVar(&cfg.noApp, "no-app", false, "start the stack without an app")
	flags.BoolVar(&cfg.appHTTP, "app-protocol-http", false, "let the sidecar call the app back over HTTP, at LONGRUN_CALLBACK_ADDR")
	flags.BoolVar(&cfg.freePorts, "free-ports", false, "use free ports for everything instead of the usual ones")
	flags.BoolVar(&cfg.restart, "restart", false, "start whatever dies again, at the same ports")
	flags.StringVar(&cfg.readyPath, "ready-path", "/readyz", "path on the app's API address that answers 200 once it can serve")
	flags.DurationVar(&cfg.readyTimeout, "ready-timeout", time.Minute, "how long to wait until everything is ready")
	flags.StringVar(&cfg.status, "status", "", "JSON file to keep up to date with addresses and process ids, from when everything is ready")
	flags.StringVar(&cfg.logLevel, "log-level", "warn", "level of the stack's own logs: debug, info, warn, error")
	flags.StringVar(&cfg.topics, "topics", "", "topics to create beside Longrun's own, separated by commas")
	flags.BoolVar(&cfg.syncMessages, "sync-messages", false, "flush every message to the disk itself: a power failure then loses none (otherwise up to a second of them), and publishing is several times slower")
	flags.BoolVar(&cfg.buildOnly, "build-only", false, "build the stack binary if it needs it, and stop")
	flags.SetOutput(io.Discard) // main says what is wrong, in one line
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Println("usage: up [flags] -- APP [args...]")
			flags.SetOutput(os.Stdout)
			flags.PrintDefaults()
		}
		return cfg, err
	}
	cfg.app = flags.Args()
	if cfg.replicas < 1 {
		return cfg, errors.New("--replicas must be at least 1")
	}
	if len(cfg.app) == 0 && !cfg.noApp && !cfg.buildOnly {
		return cfg, errors.New("name the app to run: up [flags] -- APP [args...] (or --no-app)")
	}
	if len(cfg.app) > 0 && cfg.noApp {
		return cfg, errors.New("--no-app and an app were given; choose one")
	}
	for _, path := range []*string{&cfg.data, &cfg.components, &cfg.status, &cfg.daprConfig} {
		if *path != "" {
			if *path, err = filepath.Abs(*path); err != nil {
				return cfg, err
			}
		}
	}
	return cfg, nil
}

// findRoot looks for the repository around the current folder, then around this
// binary.
func findRoot() (string, error) {
	cwd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	self, _ := os.Executable()
	for _, dir := range []string{cwd, filepath.Dir(self)} {
		for {
			if _, err := os.Stat(filepath.Join(dir, "tools", "stack", "main.go")); err == nil {
				return dir, nil
			}
			parent := filepath.Dir(dir)
			if parent == dir {
				break
			}
			dir = parent
		}
	}
	return "", errors.New("run it inside the Longrun repository")
}
