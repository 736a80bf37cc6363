package streamtest_test

import (
	"testing"

	"github.com/longrun-dev/longrun/internal/stream"
	"github.com/longrun-dev/longrun/internal/stream/streamtest"
)

func TestMemory(t *testing.T) {
	for name, traits := range map[string]stream.Traits{
		"all it can do":      stream.NewMemory().Traits(),
		"without rollback":   {Name: "loose", Across: true, MaxOps: 100},
		"one partition":      {Name: "partitioned", Rollback: true, MaxOps: 100},
		"one key at a time":  {Name: "single", MaxOps: 1},
		"two keys at a time": {Name: "pairs", Rollback: true, Across: true, MaxOps: 2},
	} {
		t.Run(name, func(t *testing.T) {
			shared := stream.NewMemoryLike(traits)
			streamtest.Run(t, func(*testing.T) stream.Store { return shared })
		})
	}
}
