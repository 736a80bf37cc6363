package app

// Limits bounds what one process takes on at once.
type Limits struct {
	Requests int // answered at the same time; more are unavailable
	Streams  int // bulks and follows at the same time; more are unavailable
	Window   int // lines of one bulk that are read and not yet answered
}

func (l Limits) withDefaults() Limits {
	for field, value := range map[*int]int{&l.Requests: 1024, &l.Streams: 128, &l.Window: 4096} {
		if *field == 0 {
			*field = value
		}
	}
	return l
}

// gate lets so many in at the same time.
type gate chan struct{}

func newGate(n int) gate { return make(gate, n) }

// enter says whether there is room; who entered must leave.
func (g gate) enter() bool {
	select {
	case g <- struct{}{}:
		return true
	default:
		return false
	}
}

func (g gate) leave() { <-g }
