package tests

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/tests/servers"
)

// TestFaults breaks parts of a bank under load, at random moments, and shows
// that no acknowledged command is lost and none counts twice.
//
// LONGRUN_FAULT_ROUNDS is how often each bank is broken (default: each kind of
// fault once), LONGRUN_FAULT_SEED repeats a run's random choices, and
// LONGRUN_FAULT_STORE is sqlite or postgres.
func TestFaults(t *testing.T) {
	t.Run("one replica", func(t *testing.T) { breaks(t, 1, faults) })
	t.Run("three replicas", func(t *testing.T) { breaks(t, 3, slices.Concat(faults, faultsOfReplicas)) })
}

// fault breaks something of a bank, and returns when that is there again, if
// not yet at work.
type fault struct {
	name  string
	apply func(t *testing.T, b *bank, random *rand.Rand)
}

var faults = []fault{
	{"application killed", func(t *testing.T, b *bank, random *rand.Rand) { b.kill(t, syscall.SIGKILL, b.any("app", random)) }},
	{"sidecar killed", func(t *testing.T, b *bank, random *rand.Rand) { b.kill(t, syscall.SIGKILL, b.any("sidecar", random)) }},
	{"application told to stop", func(t *testing.T, b *bank, random *rand.Rand) { b.kill(t, syscall.SIGTERM, b.any("app", random)) }},
	{"placement killed", func(t *testing.T, b *bank, _ *rand.Rand) { b.kill(t, syscall.SIGKILL, "placement") }},
	{"scheduler killed", func(t *testing.T, b *bank, _ *rand.Rand) { b.kill(t, syscall.SIGKILL, "scheduler") }},
	{"broker killed", func(t *testing.T, b *bank, _ *rand.Rand) { b.kill(t, syscall.SIGKILL, "broker") }},
	{"everything killed", func(t *testing.T, b *bank, _ *rand.Rand) { b.kill(t, syscall.SIGKILL, b.processes(t)...) }},
	{"sidecar frozen", func(t *testing.T, b *bank, random *rand.Rand) { b.pause(t, random, b.any("sidecar", random)) }},
	{"application frozen", func(t *testing.T, b *bank, random *rand.Rand) { b.pause(t, random, b.any("app", random)) }},
}

// faultsOfReplicas take a whole replica away, so that its entities move. The one
// that was frozen comes back and believes that they are still its own.
var faultsOfReplicas = []fault{
	{"replica killed", func(t *testing.T, b *bank, random *rand.Rand) { b.kill(t, syscall.SIGKILL, b.replica(random)...) }},
	{"replica frozen", func(t *testing.T, b *bank, random *rand.Rand) { b.pause(t, random, b.replica(random)...) }},
}

func breaks(t *testing.T, replicas int, faults []fault) {
	o, more := faultStore(t)
	faults = slices.Concat(faults, more)
	rounds, seed := number(t, "LONGRUN_FAULT_ROUNDS", len(faults)), uint64(number(t, "LONGRUN_FAULT_SEED", rand.Int()))
	t.Logf("LONGRUN_FAULT_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	o.Replicas, o.Args = replicas, []string{"--restart"}
	b := startBank(t, o)
	l := newLedger(t, b, seed, 50, 10)
	var order []int
	for round := range rounds {
		if round%len(faults) == 0 {
			order = random.Perm(len(faults))
		}
		l.await(random.IntN(300))
		f := faults[order[round%len(faults)]]
		t.Logf("%s after %d commands", f.name, l.count())
		f.apply(t, b, random)
	}
	l.await(300)
	l.check()
}

// number is a number in the environment.
func number(t *testing.T, name string, absent int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return absent
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, name)
	return n
}

// faultStore is the store of the banks that are broken, and the faults that it
// has itself.
func faultStore(t *testing.T) (servers.StackOptions, []fault) {
	t.Helper()
	switch store := os.Getenv("LONGRUN_FAULT_STORE"); store {
	case "", "sqlite":
		return servers.StackOptions{}, nil
	case "postgres":
		server := servers.ForTest[*servers.Postgres](t)(servers.StartPostgres())
		return withPostgres(server), []fault{
			{"connections to PostgreSQL broken", func(t *testing.T, _ *bank, _ *rand.Rand) { endBackends(t, server) }},
		}
	default:
		require.Fail(t, "LONGRUN_FAULT_STORE is neither sqlite nor postgres", store)
		return servers.StackOptions{}, nil
	}
}

// any is one of the processes of a kind.
func (b *bank) any(kind string, random *rand.Rand) string {
	return fmt.Sprint(kind, "-", 1+random.IntN(len(b.API)))
}

// replica is the processes of one replica.
func (b *bank) replica(random *rand.Rand) []string {
	n := 1 + random.IntN(len(b.API))
	return []string{fmt.Sprint("app-", n), fmt.Sprint("sidecar-", n)}
}

// processes is everything that a bank is made of.
func (b *bank) processes(t *testing.T) []string {
	t.Helper()
	names, err := b.Processes()
	require.NoError(t, err)
	return names
}

// pid waits until a process runs, and not with the id that it had before.
func (b *bank) pid(t *testing.T, name string, before int) (pid int) {
	t.Helper()
	eventually(t, name+" runs", func() bool {
		var err error
		pid, err = b.Process(name)
		require.NoError(t, err)
		return pid != 0 && pid != before
	})
	return pid
}

// kill sends a signal to processes, which end by it, and waits until they are
// started again.
func (b *bank) kill(t *testing.T, signal syscall.Signal, names ...string) {
	t.Helper()
	pids := make([]int, len(names))
	for i, name := range names {
		pids[i] = b.pid(t, name, 0)
	}
	for _, pid := range pids {
		require.NoError(t, syscall.Kill(pid, signal))
	}
	for i, name := range names {
		b.pid(t, name, pids[i])
	}
}

// freeze stops processes, without ending them, until thaw is called.
func (b *bank) freeze(t *testing.T, names ...string) (thaw func()) {
	t.Helper()
	pids := make([]int, len(names))
	for i, name := range names {
		pids[i] = b.pid(t, name, 0)
	}
	signal := func(s syscall.Signal) {
		t.Helper()
		for _, pid := range pids {
			require.NoError(t, syscall.Kill(pid, s))
		}
	}
	signal(syscall.SIGSTOP)
	return func() { signal(syscall.SIGCONT) }
}

// pause freezes processes for some seconds, seldom for many.
func (b *bank) pause(t *testing.T, random *rand.Rand, names ...string) {
	t.Helper()
	thaw := b.freeze(t, names...)
	time.Sleep(time.Duration(min(20, random.ExpFloat64()*2) * float64(time.Second))) // the time is what is tried
	thaw()
}
