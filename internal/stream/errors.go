package stream

import (
	"errors"
	"fmt"
)

// ErrCorrupt is what every *CorruptError wraps.
var ErrCorrupt = errors.New("stream is corrupt")

// ErrFormat means that a stored value is intact but in a format that this
// release does not know: a newer release wrote it. It is not corruption; the
// value can be read after an upgrade.
var ErrFormat = errors.New("stored in a format of a newer release")

// CorruptError says that what is stored of a stream cannot be what its owners
// wrote. Reading again does not help, and nothing may be decided on it.
type CorruptError struct {
	Stream  ID
	Number  uint64 // of the commit that is wrong or missing
	Problem string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("%s of %s, commit %d: %s", ErrCorrupt, e.Stream, e.Number, e.Problem)
}

// Unwrap makes errors.Is(err, ErrCorrupt) true.
func (e *CorruptError) Unwrap() error { return ErrCorrupt }
