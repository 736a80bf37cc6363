package streamtest

import (
	"crypto/rand"

	"github.com/longrun-dev/longrun/internal/stream"
)

// fresh names a stream that no other test, and no earlier run, has used.
func fresh() stream.ID {
	return stream.ID{Type: "streamtest", Key: rand.Text()}
}
