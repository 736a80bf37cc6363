package flow

import (
	"time"

	"github.com/longrun-dev/longrun/internal/catalog"
)

// What is to be done next for a command.
const (
	DoEnd    = "end"    // nothing: it has ended
	DoTry    = "try"    // try the step, and report
	DoSettle = "settle" // find out whether the step has happened, and see to it that it does not later
	DoUndo   = "undo"   // undo the step, and report
	DoWait   = "wait"   // nothing before a time or a signal
	DoTick   = "tick"   // what is due by time
	DoBatch  = "batch"  // resolve the group, run chunks
)

// Action is what is to be done next.
type Action struct {
	Do    string
	Try   Try        // of DoTry, DoSettle, DoUndo
	Until *time.Time // of DoWait; nil: only a signal helps
}

// Next says what is to be done for a command.
func Next(def *catalog.Command, s *State, now time.Time) Action {
	switch {
	case s.Progress.Ended():
		return Action{Do: DoEnd}
	case s.Stuck:
		return Action{Do: DoWait}
	case s.Undoing != nil:
		return s.Undoing.next(DoUndo, now)
	case s.Current != nil && s.Current.Until != nil:
		return due(s.Current.Until, now)
	case s.Current != nil && s.Current.Settle:
		return s.Current.next(DoSettle, now)
	case s.Current != nil:
		return s.Current.next(DoTry, now)
	case s.Options.StartAt != nil && s.Options.StartAt.After(now) && !s.Cancelling:
		return due(s.Options.StartAt, now)
	case def.Batch != nil && s.Batch != nil && s.Batch.Paused && !s.Cancelling:
		return Action{Do: DoWait}
	case def.Batch != nil:
		return Action{Do: DoBatch}
	}
	return Action{Do: DoTick}
}

func (t *Try) next(do string, now time.Time) Action {
	if t.RetryAt != nil && t.RetryAt.After(now) {
		return Action{Do: DoWait, Until: t.RetryAt}
	}
	return Action{Do: do, Try: *t}
}

func due(at *time.Time, now time.Time) Action {
	if at.After(now) {
		return Action{Do: DoWait, Until: at}
	}
	return Action{Do: DoTick}
}
