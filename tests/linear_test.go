package tests

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/tests/servers"
)

// TestLinearizable shows that an account behaves as if there were one copy of it
// that does one thing at a time: deposits, withdrawals and strong reads from many
// clients at three replicas, while two of these are killed.
func TestLinearizable(t *testing.T) {
	const clients, each = 8, 60
	seed := uint64(number(t, "LONGRUN_FAULT_SEED", rand.Int()))
	t.Logf("LONGRUN_FAULT_SEED=%d", seed)
	b := startBank(t, servers.StackOptions{Replicas: 3, Args: []string{"--restart"}})
	key := b.account(t, 0, 0)

	h := &history{t: t, b: b, key: key, began: time.Now(), grew: make(chan int, clients*each)}
	var group sync.WaitGroup
	for c := range clients {
		group.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(c)))
			for range each {
				h.do(c, random)
			}
		})
	}
	for _, replica := range []int{1, 2} {
		h.await(clients * each * replica / 3)
		b.kill(t, syscall.SIGKILL, fmt.Sprint("app-", replica))
	}
	group.Wait()

	require.Len(t, h.operations, clients*each)
	result, info := porcupine.CheckOperationsVerbose(accountModel, h.operations, time.Minute)
	if result != porcupine.Ok {
		picture := t.ArtifactDir() + "/history.html"
		require.NoError(t, porcupine.VisualizePath(accountModel, info, picture))
		t.Errorf("the history is not linearizable (%s): %s", result, picture)
	}
}

// history is what clients did to one account and saw of it.
type history struct {
	t     *testing.T
	b     *bank
	key   string
	began time.Time
	grew  chan int // gets the number of operations

	mu         sync.Mutex
	operations []porcupine.Operation
}

// moved is the input of an operation: an amount put on the account, or taken off
// it if it is negative; 0 reads.
type moved int64

// seen is its output: the balance after it.
type seen struct {
	balance  int64
	rejected bool
}

// accountModel says what one account does.
var accountModel = porcupine.Model{
	Init: func() any { return int64(0) },
	Step: func(state, input, output any) (bool, any) {
		after := state.(int64) + int64(input.(moved))
		out := output.(seen)
		if out.rejected {
			return after < 0, state
		}
		return after >= 0 && out.balance == after, after
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+d: %+v", input, output) },
}

// do does one thing, however often it must be asked for.
func (h *history) do(client int, random *rand.Rand) {
	amount := moved(random.IntN(3) * (random.IntN(41) - 20)) // a third are reads
	call := time.Since(h.began)
	var a answer
	switch command := id(unique("move")); {
	case amount > 0:
		a = h.insist(http.MethodPost, path("commands", deposit), params{"account": h.key, "amount": amount}, command)
	case amount < 0:
		a = h.insist(http.MethodPost, path("commands", withdraw), params{"account": h.key, "amount": -amount}, command)
	default:
		a = h.insist(http.MethodGet, of(h.key, "projections", "balance"), nil, query("consistency", "strong"))
	}
	out := seen{rejected: a.status == statusOf["rejected"]}
	if !out.rejected {
		var said struct{ Result, State *int64 }
		if err := json.Unmarshal(a.body, &said); err != nil {
			h.t.Errorf("%v: %s", err, a.body)
		} else if said.Result != nil {
			out.balance = *said.Result
		} else {
			out.balance = *said.State
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.operations = append(h.operations, porcupine.Operation{
		ClientId: client, Input: amount, Output: out, Call: int64(call), Return: int64(time.Since(h.began)),
	})
	h.grew <- len(h.operations)
}

// insist sends until the answer is definite.
func (h *history) insist(method, path string, body any, changes ...with) (a answer) {
	content := ""
	if body != nil {
		content = jsonText(h.t, body)
	}
	for began := time.Now(); time.Since(began) < definite; time.Sleep(pause) {
		var err error
		a, err = h.b.send(h.t.Context(), method, path, content, changes...)
		switch {
		case err != nil || a.status == statusOf["unavailable"]:
		case a.status == http.StatusOK || a.status == statusOf["rejected"]:
			return a
		default:
			h.t.Errorf("%s: status %d: %s", a.call, a.status, a.body)
			return a
		}
	}
	h.t.Errorf("%s has no definite answer after %s", path, definite)
	return a
}

// await waits for so many operations.
func (h *history) await(n int) {
	for <-h.grew < n {
	}
}
