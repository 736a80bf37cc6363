package servers

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
)

// Sidecar is one more sidecar of a stack, for an app that runs inside the test.
type Sidecar struct {
	*process
	GRPC     string // host:port
	Callback string // host:port where it looks for the app
	argv     []string
	env      []string
}

// StartSidecar starts a sidecar that differs from the stack's first only in its
// ports and in how it calls the app back: protocol is "http" or another of
// Dapr's, or empty if it does not. It does not wait until it can be used, because
// a sidecar waits for its app.
func (s *Stack) StartSidecar(protocol string) (*Sidecar, error) {
	pid, err := s.Process("sidecar-1")
	if err != nil {
		return nil, err
	}
	c := &Sidecar{}
	if c.argv, err = procStrings(pid, "cmdline"); err != nil {
		return nil, err
	}
	if c.env, err = procStrings(pid, "environ"); err != nil {
		return nil, err
	}
	for _, flag := range []string{"--dapr-grpc-port", "--dapr-http-port", "--dapr-internal-grpc-port", "--metrics-port", "--app-port"} {
		_, port, err := freeAddr()
		if err != nil {
			return nil, err
		}
		c.set(flag, strconv.Itoa(port))
		switch addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port)); flag {
		case "--dapr-grpc-port":
			c.GRPC = addr
		case "--app-port":
			c.Callback = addr
		}
	}
	if protocol == "" {
		c.set("--app-port", "0")
	} else {
		c.set("--app-protocol", protocol)
	}
	if err := c.start(); err != nil {
		return nil, err
	}
	return c, nil
}

// Restart ends the sidecar by a signal and starts it again at the same ports.
func (c *Sidecar) Restart(signal syscall.Signal) error {
	if err := c.cmd.Process.Signal(signal); err != nil {
		return err
	}
	<-c.ended
	if err := c.Stop(); err != nil {
		return err
	}
	return c.start()
}

func (c *Sidecar) start() error {
	p, err := newProcess("sidecar")
	if err != nil {
		return err
	}
	c.process = p
	cmd := exec.Command(c.argv[0], c.argv[1:]...)
	cmd.Env = c.env
	started := make(chan struct{})
	close(started)
	if err := p.start(cmd, func(*logFile) <-chan struct{} { return started }); err != nil {
		return p.fail(err)
	}
	return nil
}

// set gives a flag another value.
func (c *Sidecar) set(flag, value string) {
	if i := slices.Index(c.argv, flag); i >= 0 {
		c.argv[i+1] = value
		return
	}
	c.argv = append(c.argv, flag, value)
}

// procStrings reads the command line or the environment of a process.
func procStrings(pid int, file string) ([]string, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		return nil, err
	}
	var all []string
	for s := range bytes.SplitSeq(bytes.TrimRight(data, "\x00"), []byte{0}) {
		all = append(all, string(s))
	}
	return all, nil
}
