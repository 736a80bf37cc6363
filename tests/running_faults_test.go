package tests

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/tests/servers"
)

// TestRunningFaults breaks parts of a bank and a depot at random moments while
// transfers and batches run, and shows that every one of them ends, did what it
// says, once, and that no money is lost or made. Its environment is TestFaults'.
func TestRunningFaults(t *testing.T) {
	dapr, _ := faultStore(t)
	t.Run("one replica", func(t *testing.T) { breaksRunning(t, dapr, 1, runningFaults) })
	t.Run("three replicas", func(t *testing.T) {
		breaksRunning(t, dapr, 3, slices.Concat(runningFaults, faultsOfReplicas))
	})
	t.Run("embedded engine", func(t *testing.T) {
		if os.Getenv("LONGRUN_FAULT_ROUNDS") == "" {
			t.Skip("in the long form only: make faults")
		}
		embedded := onEmbedded(t)
		embedded.Env = append(embedded.Env, dapr.Env...)
		embedded.Components = dapr.Components
		breaksRunning(t, embedded, 1, runningFaults[:6])
	})
}

var runningFaults = []fault{
	{"application killed", func(t *testing.T, b *bank, random *rand.Rand) { b.kill(t, syscall.SIGKILL, b.any("app", random)) }},
	{"sidecar killed", func(t *testing.T, b *bank, random *rand.Rand) { b.kill(t, syscall.SIGKILL, b.any("sidecar", random)) }},
	{"application told to stop", func(t *testing.T, b *bank, random *rand.Rand) { b.kill(t, syscall.SIGTERM, b.any("app", random)) }},
	{"scheduler killed", func(t *testing.T, b *bank, _ *rand.Rand) { b.kill(t, syscall.SIGKILL, "scheduler") }},
	{"broker killed", func(t *testing.T, b *bank, _ *rand.Rand) { b.kill(t, syscall.SIGKILL, "broker") }},
	{"everything killed", func(t *testing.T, b *bank, _ *rand.Rand) { b.kill(t, syscall.SIGKILL, b.processes(t)...) }},
	{"scheduler's data lost", func(t *testing.T, b *bank, _ *rand.Rand) { b.wipeScheduler(t) }},
}

// wipeScheduler kills the scheduler, which then starts without its data.
func (b *bank) wipeScheduler(t *testing.T) {
	t.Helper()
	data := filepath.Join(b.Dir(), "data", "scheduler")
	require.NoError(t, os.Rename(data, fmt.Sprintf("%s-lost-%d", data, time.Now().UnixNano())))
	b.kill(t, syscall.SIGKILL, "scheduler")
}

const (
	perCycle  = 200             // transfers while each fault happens once
	mustEnd   = 2 * time.Minute // how long after the last fault a command may take to end
	crowdSize = 40              // accounts between which money moves
	idleSize  = 2000            // accounts that only earn interest
	shelves   = 60
	perBatch  = 20 * time.Second // how long a batch of interest takes that nothing breaks
)

func breaksRunning(t *testing.T, o servers.StackOptions, replicas int, faults []fault) {
	rounds, seed := number(t, "LONGRUN_FAULT_ROUNDS", len(faults)), uint64(number(t, "LONGRUN_FAULT_SEED", rand.Int()))
	t.Logf("LONGRUN_FAULT_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	o.Replicas, o.Args = replicas, []string{"--restart"}
	o.Env = append(slices.Clone(o.Env), "LONGRUN_SWEEP_AFTER=5s") // what the scheduler lost does not take minutes
	c := newCrowd(t, startDepot(t, o), seed)
	for cycle := 0; cycle*len(faults) < rounds; cycle++ {
		c.begin(cycle)
		for i, at := range random.Perm(len(faults)) {
			if cycle*len(faults)+i >= rounds {
				break
			}
			c.await(cycle*perCycle + (i*perCycle+random.IntN(perCycle))/len(faults))
			t.Logf("%s after %d transfers", faults[at].name, c.count())
			faults[at].apply(t, c.bank, random)
		}
		c.end()
	}
	c.check()
}
