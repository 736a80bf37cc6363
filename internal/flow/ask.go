package flow

import (
	"encoding/json"
	"time"

	"github.com/longrun-dev/longrun/internal/catalog"
)

// Signal takes a signal. A *catalog.Fault refuses it.
func Signal(def *catalog.Command, s *State, name string, payload json.RawMessage, now time.Time) ([]Event, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	m, err := newMachine(def, s, now)
	if err != nil {
		return nil, err
	}
	if name == catalog.SignalRetryCompensation {
		if !s.Stuck {
			return nil, catalog.Faultf(catalog.Conflict, "no compensation of the command has failed: it is %s", s.Progress.Status)
		}
		if err := m.emit(EventCompensationRetried, Requested{}); err != nil {
			return nil, err
		}
		return m.advanced()
	}
	wait := def.Signal(name)
	if wait == nil {
		return nil, catalog.Faultf(catalog.Conflict, "command %s declares no signal %q", def.Name, name)
	}
	if err := wait.Decode(payload); err != nil {
		return nil, catalog.Faultf(catalog.Invalid, "the payload of signal %q: %v", name, err)
	}
	if _, came := s.Signals[name]; came {
		return nil, catalog.Faultf(catalog.Conflict, "signal %q has come already", name)
	}
	if s.Cancelling || s.Failure != nil || !s.waitsFor(def, wait) {
		return nil, catalog.Faultf(catalog.Conflict, "nothing waits for signal %q any more", name)
	}
	if len(payload)+s.sizeOfSignals() > MaxSignals {
		return nil, catalog.Faultf(catalog.TooLarge, "the payloads of all signals of a command may have %d bytes", MaxSignals)
	}
	if err := m.emit(EventSignalled, Signalled{name, payload}); err != nil {
		return nil, err
	}
	return m.advanced()
}

// waitsFor says whether a wait has not ended, or not begun yet.
func (s *State) waitsFor(def *catalog.Command, wait *catalog.Wait) bool {
	for _, step := range def.Steps {
		if step.Wait == wait {
			p := s.Progress.Step(step.Name)
			return p == nil || p.Status == StatusPending || p.Status == StatusWaiting
		}
	}
	return false
}

// Cancel asks a command to end: nothing new begins, and what is completed is
// undone, unless the last step completes meanwhile. A *catalog.Fault refuses it.
func Cancel(def *catalog.Command, s *State, now time.Time) ([]Event, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	if s.Cancelling || def.Batch == nil && s.Failure != nil {
		return nil, nil // it is on its way back already
	}
	m, err := newMachine(def, s, now)
	if err != nil {
		return nil, err
	}
	if err := m.emit(EventCancelRequested, Requested{}); err != nil {
		return nil, err
	}
	return m.advanced()
}

// open refuses what is asked of a command that is not there or has ended.
func (s *State) open() error {
	switch {
	case s.Progress.Command == "":
		return catalog.Faultf(catalog.NotFound, "no command with id %q", s.Progress.ID)
	case s.Progress.Ended():
		return catalog.Faultf(catalog.Conflict, "the command has ended: it is %s", s.Progress.Status)
	}
	return nil
}

// Tick does what is due by time alone: a start, the end of a delay or of a wait.
func Tick(def *catalog.Command, s *State, now time.Time) ([]Event, error) {
	if s.Progress.Ended() {
		return nil, nil
	}
	m, err := newMachine(def, s, now)
	if err != nil {
		return nil, err
	}
	return m.advanced()
}
