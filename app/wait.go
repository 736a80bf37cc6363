package app

import (
	"context"
	"sync"
	"time"

	"github.com/longrun-dev/longrun/internal/flow"
	"github.com/longrun-dev/longrun/internal/stream"
)

// maxWait is how long a request waits for the end of a command at most, whatever
// it asks for.
const maxWait = time.Minute

// ends are the events that end a command.
var ends = map[string]bool{
	flow.EventInvalidated: true, flow.EventCompleted: true, flow.EventCompletedWithFailures: true, flow.EventRejected: true,
	flow.EventFailed: true, flow.EventCompensated: true, flow.EventCancelled: true,
}

// awaitEnd waits until a command has ended, for so long, and answers with its
// progress as it is then. It waits no longer than somebody listens and until the
// server drains. It hears of the end from the command's stream, whichever
// process writes that.
func (s *Server) awaitEnd(ctx context.Context, system Runtime, p flow.Progress, long time.Duration) flow.Progress {
	if p.Ended() {
		return p
	}
	now := func() flow.Progress {
		if read, err := system.Progress(ctx, p.Command, p.ID, nil); err == nil {
			return read
		}
		return p // what was known before is an answer too
	}
	following, cancel := context.WithTimeout(ctx, min(long, maxWait))
	var drained sync.WaitGroup
	drained.Go(func() {
		select {
		case <-s.draining:
			cancel()
		case <-following.Done():
		}
	})
	defer drained.Wait()
	defer cancel()
	for e, err := range system.Follow(following, stream.ID{Type: flow.CommandType, Key: p.ID}, 1) {
		if err != nil {
			break
		}
		if ends[e.Event.Name] {
			if p = now(); p.Ended() { // a batch that is repeated has ended before
				return p
			}
		}
	}
	return now()
}
