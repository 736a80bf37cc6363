package actors_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

// What a command costs this process, without sidecar and store: 128 in flight
// on 1,000 entities.
func BenchmarkDo(b *testing.B) {
	for _, name := range []string{"quick", "put"} {
		b.Run(name, func(b *testing.B) {
			s, err := actors.New([]*catalog.Domain{domain()}, stream.NewMemory(), nil, actors.Config{})
			require.NoError(b, err)
			defer s.Close()
			b.ReportAllocs()
			var wait sync.WaitGroup
			work := make(chan int)
			for range 128 {
				wait.Go(func() {
					for i := range work {
						if _, err := s.Do(context.Background(), cmd(name, fmt.Sprint("c", i), fmt.Sprint(i%1000), 1)); err != nil {
							b.Error(err)
						}
					}
				})
			}
			for i := range b.N {
				work <- i
			}
			close(work)
			wait.Wait()
		})
	}
}
