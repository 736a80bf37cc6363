package servers

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// startTimeout is how long a server may take until it can be used. The first
// start of a stack builds it.
const startTimeout = 10 * time.Minute

// stopTimeout is how long a server may take to stop before it is killed.
const stopTimeout = 30 * time.Second

// process is a child process with a folder of its own.
type process struct {
	dir    string // removed in the end
	name   string
	cmd    *exec.Cmd
	log    *logFile
	signal syscall.Signal // asks it to stop
	ended  chan struct{}  // closed once it has ended
	once   sync.Once
	err    error // of stopping
}

// newProcess makes the folder; start runs the command.
func newProcess(name string) (*process, error) {
	dir, err := os.MkdirTemp("", "longrun-"+name+"-")
	if err != nil {
		return nil, err
	}
	return &process{dir: dir, name: name, signal: syscall.SIGTERM, ended: make(chan struct{})}, nil
}

// start runs the command in the folder, its output going to a log there, and
// returns once ready is closed. ready is made after the log, so that it can
// watch that.
func (p *process) start(cmd *exec.Cmd, ready func(log *logFile) <-chan struct{}) error {
	log, err := newLogFile(filepath.Join(p.dir, p.name+".log"))
	if err != nil {
		return err
	}
	p.cmd, p.log = cmd, log
	if cmd.Dir == "" {
		cmd.Dir = p.dir
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.WaitDelay = time.Second // grandchildren may keep the output open
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true // Ctrl-C is for the user of the server
	cmd.SysProcAttr.Pdeathsig = p.signal
	up := ready(log)
	if err := spawn(cmd); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	go func() {
		_ = cmd.Wait() // stop reports what matters
		close(p.ended)
	}()
	select {
	case <-up:
		return nil
	case <-p.ended:
		return fmt.Errorf("%s ended (%s):\n%s", p.name, cmd.ProcessState, log.text())
	case <-time.After(startTimeout):
		return fmt.Errorf("%s is not ready after %s:\n%s", p.name, startTimeout, log.text())
	}
}

// Stop ends the process and removes its folder, unless LONGRUN_KEEP is set in
// the environment. More calls return the same.
func (p *process) Stop() error {
	p.once.Do(func() { p.err = p.stop() })
	return p.err
}

func (p *process) stop() (err error) {
	if p.cmd != nil && p.cmd.Process != nil {
		_ = p.cmd.Process.Signal(p.signal) // it may have ended
		select {
		case <-p.ended:
		case <-time.After(stopTimeout):
			_ = p.cmd.Process.Kill()
			<-p.ended
			err = fmt.Errorf("%s did not stop within %s and was killed:\n%s", p.name, stopTimeout, p.log.text())
		}
	}
	if p.log != nil {
		err = errors.Join(err, p.log.close())
	}
	if os.Getenv("LONGRUN_KEEP") != "" {
		return err
	}
	return errors.Join(err, os.RemoveAll(p.dir))
}

// Wait waits until the process has ended and returns its exit code.
func (p *process) Wait() int {
	<-p.ended
	return p.cmd.ProcessState.ExitCode()
}

// fail stops what could not be started and returns why.
func (p *process) fail(err error) error { return errors.Join(err, p.Stop()) }

// PID is the process id of the server.
func (p *process) PID() int { return p.cmd.Process.Pid }

// Dir is the server's folder: its data and its log.
func (p *process) Dir() string { return p.dir }

// spawn starts a command from a thread that never ends: the kernel ends a child
// when the thread that started it does.
func spawn(cmd *exec.Cmd) error {
	spawner.Do(func() {
		go func() {
			runtime.LockOSThread()
			for request := range spawns {
				request.done <- request.cmd.Start()
			}
		}()
	})
	done := make(chan error)
	spawns <- spawning{cmd, done}
	return <-done
}

type spawning struct {
	cmd  *exec.Cmd
	done chan error
}

var (
	spawner sync.Once
	spawns  = make(chan spawning)
)

// logFile is what a server printed, in a file and searchable.
type logFile struct {
	mu     sync.Mutex
	file   *os.File
	recent []byte
	marker []byte
	seen   chan struct{}
}

// logTail is how much of a log is kept to be shown.
const logTail = 4 << 10

func newLogFile(path string) (*logFile, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &logFile{file: file}, nil
}

// saw returns a channel that is closed once the server has printed marker.
func (l *logFile) saw(marker string) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.marker, l.seen = []byte(marker), make(chan struct{})
	return l.seen
}

func (l *logFile) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recent = append(l.recent, b...)
	if l.seen != nil && bytes.Contains(l.recent, l.marker) {
		close(l.seen)
		l.seen = nil
	}
	l.recent = l.recent[max(0, len(l.recent)-logTail):]
	return l.file.Write(b)
}

func (l *logFile) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.recent)
}

func (l *logFile) close() error { return l.file.Close() }
