package actors

import (
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// stall notices that actor calls through the sidecar run out of time, one after
// the other, and none comes through.
//
// A sidecar that loses its connection to placement while it installs a new table
// holds back every call for the actor types that were moving, and seems well. In
// Dapr 1.18.3 it does so for ever: the types that it blocked (Inflight.blockedTypes)
// outlive the connection, and who should free them does not know of them (see
// the review of dapr/dapr#10440). They are free again once their hosts change,
// and that is something a host can bring about.
type stall struct {
	after time.Duration

	mu    sync.Mutex
	since time.Time // when the first call began that ran out of time; zero if one was answered after it
}

// saw hears how a call ended that had begun at a time, and says whether it is
// time to do something.
func (s *stall) saw(began time.Time, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case status.Code(err) != codes.DeadlineExceeded:
		s.since = time.Time{}
	case s.since.IsZero():
		s.since = began
	case time.Since(s.since) > s.after:
		s.since = time.Time{}
		return true
	}
	return false
}
