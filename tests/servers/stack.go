package servers

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// StackOptions say what runs beside the stack.
type StackOptions struct {
	Components string   // a folder, or the name of one in components/; default "embedded"
	Env        []string // what the components refer to, e.g. "LONGRUN_POSTGRES=..."
	App        []string // the app's command line; none: the stack alone
	Replicas   int      // of the app and its sidecar; default 1
	Args       []string // more flags of tools/up
}

// Stack is a running local stack: broker, placement, scheduler and sidecars, and
// the app if there is one.
type Stack struct {
	*process
	API      []string // http://host:port of each replica's API; none without an app
	DaprHTTP []string // http://host:port of each sidecar
	DaprGRPC []string // host:port of each sidecar
	status   string
}

// StartStack starts the stack at free ports and returns once everything is ready.
// The first start on a machine builds it, which takes minutes.
func StartStack(o StackOptions) (*Stack, error) {
	root, err := repository()
	if err != nil {
		return nil, err
	}
	p, err := newProcess("stack")
	if err != nil {
		return nil, err
	}
	up := filepath.Join(p.dir, "up")
	build := exec.Command("go", "build", "-C", filepath.Join(root, "tools"), "-o", up, "./up")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, p.fail(fmt.Errorf("go build tools/up: %w\n%s", err, out))
	}
	s := &Stack{process: p, status: filepath.Join(p.dir, "status.json")}
	cmd := exec.Command(up, o.args(root, p.dir, s.status)...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), o.Env...)
	ready := make(chan struct{})
	err = p.start(cmd, func(*logFile) <-chan struct{} {
		go s.awaitStatus(ready)
		return ready
	})
	if err != nil {
		return nil, p.fail(err)
	}
	status, err := s.readStatus()
	if err != nil {
		return nil, p.fail(err)
	}
	s.API, s.DaprHTTP, s.DaprGRPC = status.API, status.DaprHTTP, status.DaprGRPC
	return s, nil
}

func (o StackOptions) args(root, dir, status string) []string {
	components := o.Components
	if components == "" {
		components = "embedded"
	}
	if !filepath.IsAbs(components) {
		components = filepath.Join(root, "components", components)
	}
	args := []string{
		"--free-ports", "--data", filepath.Join(dir, "data"),
		"--components", components, "--status", status, "--replicas", strconv.Itoa(max(1, o.Replicas)),
	}
	args = append(args, o.Args...)
	if len(o.App) == 0 {
		return append(args, "--no-app")
	}
	return append(append(args, "--"), o.App...)
}

// Process is the process id of one part of the stack, such as "sidecar-1" or
// "app-2": 0 while it is down.
func (s *Stack) Process(name string) (int, error) {
	status, err := s.readStatus()
	if err != nil {
		return 0, err
	}
	for _, p := range status.Processes {
		if p.Name == name {
			return p.PID, nil
		}
	}
	return 0, fmt.Errorf("the stack has no process %q", name)
}

// Processes names all parts of the stack.
func (s *Stack) Processes() ([]string, error) {
	status, err := s.readStatus()
	var names []string
	for _, p := range status.Processes {
		names = append(names, p.Name)
	}
	return names, err
}

// stackStatus is the file that tools/up keeps up to date.
type stackStatus struct {
	Ready     bool     `json:"ready"`
	API       []string `json:"api"`
	DaprHTTP  []string `json:"daprHTTP"`
	DaprGRPC  []string `json:"daprGRPC"`
	Processes []struct {
		Name string `json:"name"`
		PID  int    `json:"pid"`
	} `json:"processes"`
}

func (s *Stack) readStatus() (status stackStatus, err error) {
	data, err := os.ReadFile(s.status)
	if err != nil {
		return status, err
	}
	if err := json.Unmarshal(data, &status); err != nil {
		return status, fmt.Errorf("status of the stack: %w", err)
	}
	return status, nil
}

// awaitStatus closes ready once the status says so, or returns when the stack has
// ended.
func (s *Stack) awaitStatus(ready chan<- struct{}) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if status, err := s.readStatus(); err == nil && status.Ready {
			close(ready)
			return
		}
		select {
		case <-s.ended:
			return
		case <-tick.C:
		}
	}
}

// repository is the root of this repository, around the current folder.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "tools", "up", "main.go")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("not inside the repository")
		}
		dir = parent
	}
}
