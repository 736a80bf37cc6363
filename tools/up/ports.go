package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// Free ports come from blocks below the range that systems use for outgoing
// connections. A block is locked for as long as up runs, so that runs at the same
// time never choose the same port, not even while a child is being restarted.
const (
	firstBlock = 10000
	blockSize  = 50
	blockCount = 400
)

// ports hands out ports that nothing listens on.
type ports struct {
	free  bool // every port is chosen, the usual ones too
	taken map[int]bool
	locks []*os.File
	next  int
	end   int
}

func newPorts(free bool) *ports {
	return &ports{free: free, taken: map[int]bool{}}
}

// release gives the blocks back.
func (p *ports) release() {
	for _, f := range p.locks {
		f.Close()
	}
}

// usual returns port, which a user knows by heart, or an error that says what it
// is for and what can be done if it is taken.
func (p *ports) usual(port int, what, hint string) (int, error) {
	if p.free {
		return p.any()
	}
	if p.claim(port) {
		return port, nil
	}
	return 0, fmt.Errorf("port %d (%s) is taken by another program; stop it, %sor use --free-ports", port, what, hint)
}

// fixed returns a port that the user asked for by name, also among free ones.
func (p *ports) fixed(port int, name string) (int, error) {
	if p.claim(port) {
		return port, nil
	}
	return 0, fmt.Errorf("port %d (%s) is taken by another program; stop it or choose another port", port, name)
}

// inside returns port if it is free, and any other if not: nobody but the stack
// uses it.
func (p *ports) inside(port int) (int, error) {
	if !p.free && p.claim(port) {
		return port, nil
	}
	return p.any()
}

// any returns a free port.
func (p *ports) any() (int, error) {
	for {
		if p.next == p.end {
			if err := p.lockBlock(); err != nil {
				return 0, err
			}
		}
		port := p.next
		p.next++
		if p.claim(port) {
			return port, nil
		}
	}
}

// claim reports whether nothing listens on port and none of us was given it.
func (p *ports) claim(port int) bool {
	if p.taken[port] {
		return false
	}
	l, err := net.Listen("tcp", loopback(port))
	if err != nil {
		return false
	}
	l.Close()
	p.taken[port] = true
	return true
}

func (p *ports) lockBlock() error {
	dir := filepath.Join(os.TempDir(), "longrun-ports-"+strconv.Itoa(os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	start := rand.IntN(blockCount)
	for i := range blockCount {
		first := firstBlock + (start+i)%blockCount*blockSize
		f, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(first)), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return err
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
			f.Close()
			continue
		}
		p.locks = append(p.locks, f)
		p.next, p.end = first, first+blockSize
		return nil
	}
	return errors.New("no free ports: too many runs at once")
}

func loopback(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}
