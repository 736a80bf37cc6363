package main

import (
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/longrun-dev/longrun/tests/servers"
)

// growth is the resident memory of a process over a time, in MiB.
type growth struct {
	process      string
	before, peak float64
}

// memoryWatch looks at processes of a stack until it is stopped.
type memoryWatch struct {
	pids  []string
	grown []growth
	err   error
	end   chan struct{}
	group sync.WaitGroup
}

func watchMemory(stack *servers.Stack, processes ...string) (*memoryWatch, error) {
	w := &memoryWatch{end: make(chan struct{})}
	for _, name := range processes {
		pid, err := stack.Process(name)
		if err != nil {
			return nil, err
		}
		w.pids = append(w.pids, strconv.Itoa(pid))
		w.grown = append(w.grown, growth{process: name})
	}
	if w.look(); w.err != nil {
		return nil, w.err
	}
	for i := range w.grown {
		w.grown[i].before = w.grown[i].peak
	}
	w.group.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				w.look()
			case <-w.end:
				return
			}
		}
	})
	return w, nil
}

func (w *memoryWatch) look() {
	for i, pid := range w.pids {
		bytes, err := resident(pid)
		if err != nil {
			w.err = errors.Join(w.err, err) // such as that it died
			continue
		}
		w.grown[i].peak = max(w.grown[i].peak, float64(bytes)/(1<<20))
	}
}

// stop says how the processes grew.
func (w *memoryWatch) stop() ([]growth, error) {
	close(w.end)
	w.group.Wait()
	return w.grown, w.err
}
