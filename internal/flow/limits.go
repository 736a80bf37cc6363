package flow

import "github.com/longrun-dev/longrun/internal/catalog"

// What a command gathers goes into one append of its stream, at worst: the result
// of a step, those of waits whose signals came early, and its own result. An
// append that is too large would keep the command from ever going on, so what it
// gathers is limited where it can still be refused.
const (
	MaxResults = 384 << 10 // bytes of the results of all steps of a command
	MaxSignals = 128 << 10 // bytes of the payloads of all its signals
)

// TooMuch refuses a step whose result, beside those before it, is above MaxResults.
func TooMuch(step string) *catalog.Fault {
	return catalog.Faultf(catalog.TooLarge, "with the result of step %s the command's results have more than %d bytes", step, MaxResults)
}

// SizeOfResults is how many bytes the results of the steps have so far.
func (s *State) SizeOfResults() int {
	size := 0
	for _, r := range s.Results {
		size += len(r)
	}
	return size
}

func (s *State) sizeOfSignals() int {
	size := 0
	for _, payload := range s.Signals {
		size += len(payload)
	}
	return size
}
