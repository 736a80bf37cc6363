package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// A child that is restarted waits a little longer each time, unless it has been
// up for a while.
const (
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 2 * time.Second
	steadyAfter  = 10 * time.Second
)

// child is a process that should be running.
type child struct {
	spec
	cmd      *exec.Cmd // nil while it is down
	pid      int
	restarts int
	started  time.Time
	backoff  time.Duration
}

// exit says that a child has ended.
type exit struct {
	child *child
	state *os.ProcessState
}

// runner starts, watches and stops the children of a plan. Its fields belong to
// the goroutine that calls run; the others only send to its channels.
type runner struct {
	cfg      config
	plan     *plan
	children []*child
	signals  <-chan os.Signal
	begin    time.Time
	ready    bool

	exits    chan exit
	restarts chan *child
	spawns   chan spawn
}

type spawn struct {
	cmd  *exec.Cmd
	done chan error
}

func newRunner(cfg config, p *plan, signals <-chan os.Signal, begin time.Time) *runner {
	r := &runner{cfg: cfg, plan: p, signals: signals, begin: begin}
	for _, s := range p.specs {
		r.children = append(r.children, &child{spec: s, backoff: firstBackoff})
	}
	r.exits = make(chan exit, len(r.children))
	r.restarts = make(chan *child, len(r.children))
	r.spawns = make(chan spawn)
	return r
}

// run returns when everything has stopped, with the exit code of the whole.
func (r *runner) run() (int, error) {
	go r.spawner()
	for _, c := range r.children {
		if c.log != "" { // logs are those of the last run
			_ = os.Remove(c.log)
		}
	}
	if err := r.startTiers(base); err != nil {
		return r.stop(1, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), r.cfg.readyTimeout)
	defer cancel()
	// A sidecar gives up at once if the broker is not there. Nothing else has to
	// wait: the sidecars look for placement and scheduler until they find them.
	wait, started := waitFor(ctx, r.urls("broker")), false
	for {
		select {
		case err := <-wait:
			switch {
			case err != nil:
				return r.stop(1, err)
			case !started:
				started = true
				if err := r.startTiers(sidecars, apps); err != nil {
					return r.stop(1, err)
				}
				wait = waitFor(ctx, r.urls(""))
			default:
				wait = nil
				if err := r.announce(); err != nil {
					return r.stop(1, err)
				}
			}
		case e := <-r.exits:
			if done, code, err := r.ended(e); done {
				return r.stop(code, err)
			}
		case c := <-r.restarts:
			if err := r.start(c); err != nil {
				return r.stop(1, err)
			}
			c.restarts++
			if err := r.writeStatus(); err != nil {
				return r.stop(1, err)
			}
		case <-r.signals:
			return r.stop(0, nil)
		}
	}
}

// spawner starts processes, always from the same thread: the kernel kills a
// child when the thread that started it ends, and this one never does.
func (r *runner) spawner() {
	runtime.LockOSThread()
	for s := range r.spawns {
		s.done <- s.cmd.Start()
	}
}

// startTiers starts every child of the tiers.
func (r *runner) startTiers(tiers ...tier) error {
	for _, t := range tiers {
		for _, c := range r.children {
			if c.tier != t {
				continue
			}
			if err := r.start(c); err != nil {
				return err
			}
		}
	}
	return nil
}

// start starts one child.
func (r *runner) start(c *child) error {
	cmd := exec.Command(c.argv[0], c.argv[1:]...)
	cmd.Env = append(os.Environ(), c.env...)
	cmd.SysProcAttr = childAttributes()
	if c.log == "" {
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if r.cfg.replicas == 1 && !isTerminal(os.Stdin) {
			cmd.Stdin = os.Stdin
		}
	} else {
		file, err := os.OpenFile(c.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
		if err != nil {
			return fmt.Errorf("log of %s: %w", c.name, err)
		}
		defer file.Close()
		cmd.Stdout, cmd.Stderr = file, file
	}
	done := make(chan error)
	r.spawns <- spawn{cmd, done}
	if err := <-done; err != nil {
		return fmt.Errorf("%s does not start: %w", c.name, err)
	}
	c.cmd, c.pid, c.started = cmd, cmd.Process.Pid, time.Now()
	go func() {
		_ = cmd.Wait() // the state says more than the error
		r.exits <- exit{c, cmd.ProcessState}
	}()
	return nil
}

// ended handles the end of a child while nothing is being stopped: it is started
// again, or it ends the whole.
func (r *runner) ended(e exit) (done bool, code int, err error) {
	c := e.child
	c.cmd, c.pid = nil, 0
	if r.cfg.restart && r.ready {
		if time.Since(c.started) > steadyAfter {
			c.backoff = firstBackoff
		}
		fmt.Fprintf(os.Stderr, "up: %s ended (%s); starting it again\n", c.name, e.state)
		time.AfterFunc(c.backoff, func() { r.restarts <- c })
		c.backoff = min(2*c.backoff, lastBackoff)
		if err := r.writeStatus(); err != nil {
			return true, 1, err
		}
		return false, 0, nil
	}
	if c.tier == apps {
		code = exitCode(e.state)
		if code != 0 {
			err = fmt.Errorf("%s ended with code %d", c.name, code)
		}
		return true, code, err
	}
	return true, 1, fmt.Errorf("%s ended (%s); the end of %s:\n%s", c.name, e.state, c.log, tail(c.log, 15))
}

// exitCode is the code a shell would show.
func exitCode(s *os.ProcessState) int {
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return 128 + int(w.Signal())
	}
	return s.ExitCode()
}

// stop ends all children, tier by tier, and returns what it was given, unless
// code is 0 and an app did not stop well. A signal meanwhile kills the rest.
func (r *runner) stop(code int, cause error) (int, error) {
	for _, t := range []tier{apps, sidecars, base} {
		r.signal(t, syscall.SIGTERM)
		timeout := time.After(grace[t])
		for r.running(t) {
			select {
			case e := <-r.exits:
				e.child.cmd, e.child.pid = nil, 0
				stopped := exitCode(e.state)
				byUs := stopped == 128+int(syscall.SIGTERM)
				if e.child.tier == apps && stopped != 0 && !byUs && code == 0 {
					code, cause = stopped, fmt.Errorf("%s ended with code %d when it was told to stop", e.child.name, stopped)
				}
			case <-timeout:
				fmt.Fprintf(os.Stderr, "up: still running after %s, killed\n", grace[t])
				r.signal(t, syscall.SIGKILL)
			case <-r.signals:
				for _, all := range []tier{apps, sidecars, base} {
					r.signal(all, syscall.SIGKILL)
				}
				code, cause = 130, errors.Join(cause, errors.New("stopped at once"))
			}
		}
	}
	if r.cfg.status != "" {
		_ = os.Remove(r.cfg.status)
	}
	return code, cause
}

// signal sends to the process groups of a tier, so that it also reaches what an
// app has started.
func (r *runner) signal(t tier, sig syscall.Signal) {
	for _, c := range r.children {
		if c.tier == t && c.cmd != nil {
			_ = syscall.Kill(-c.pid, sig)
		}
	}
}

func (r *runner) running(t tier) bool {
	for _, c := range r.children {
		if c.tier == t && c.cmd != nil {
			return true
		}
	}
	return false
}

// announce says that everything is ready, and where to look.
func (r *runner) announce() error {
	r.ready = true
	fmt.Fprintf(os.Stderr, "ready in %.1f s\n", time.Since(r.begin).Seconds())
	for i, api := range r.plan.api {
		fmt.Fprintf(os.Stderr, "  API %d  %s/  (described at /openapi.json)\n", i+1, api)
	}
	fmt.Fprintf(os.Stderr, "  Dapr   %s\n  logs   %s\n", r.plan.daprHTTP[0], filepath.Join(r.cfg.data, "logs"))
	return r.writeStatus()
}
