package tests

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/stream"
	"github.com/longrun-dev/longrun/workflows"
)

// engine is Dapr's workflow engine, as a bank's sidecar shows it.
func (b *bank) engine(t *testing.T) workflows.Engine {
	t.Helper()
	sidecar, err := actors.Connect(t.Context(), actors.SidecarConfig{Endpoint: b.DaprGRPC[0]})
	require.NoError(t, err)
	t.Cleanup(func() { _ = sidecar.Close() })
	return workflows.NewDaprEngine(sidecar.Conn(), workflows.EngineConfig{})
}

// instance is the workflow that drives a command, or drove its last round if it
// was repeated.
func instance(id string, events []event) string {
	name := stream.Escape(id)
	if len(name) > 120 {
		sum := sha256.Sum256([]byte(id))
		name = "~" + hex.EncodeToString(sum[:])
	}
	if repeats := occurrences(names(events), "retry-started"); repeats > 0 {
		name += fmt.Sprintf("~r%d", repeats+1)
	}
	return name
}

// allCommands lists every command.
func (b *bank) allCommands(t *testing.T) (all []progress) {
	t.Helper()
	for cursor := ""; ; {
		var page struct {
			Items []progress `json:"items"`
			Next  string     `json:"next"`
		}
		b.get(t, "/commands", query("cursor", cursor, "limit", "1000")).into(&page)
		all = append(all, page.Items...)
		if cursor = page.Next; cursor == "" {
			return all
		}
	}
}

// showsAgreement compares what the command streams tell with what the workflow
// engine itself keeps: the instance of a command that runs has not ended, that
// of one that has ended has completed, with the same status. Then the engine
// forgets everything, and the progress of all is what it was.
func showsAgreement(t *testing.T, b *bank) {
	engine := b.engine(t)
	workflowOf := map[string]string{
		transfer: "longrun.command.v1", payInterest: "longrun.command.v1", accrueForAll: "longrun.batch.v1", payForAll: "longrun.batch.v1",
		deposit: "longrun.command.v1", withdraw: "longrun.command.v1", // of those that were to start later
	}
	var compared atomic.Int64
	all := b.allCommands(t)
	inParallel(all, func(p progress) {
		name, runsOn := workflowOf[p.Command]
		if !runsOn {
			return
		}
		events := b.commandEvents(t, p.Command, p.ID)
		instance := instance(p.ID, events)
		state, err := engine.State(t.Context(), instance)
		switch {
		case errors.Is(err, workflows.ErrNotFound):
			if p.Command != deposit && p.Command != withdraw && p.Status != "invalid" {
				t.Errorf("the engine does not know %s %s, which is %s", p.Command, p.ID, p.Status)
			}
			return
		case err != nil:
			t.Errorf("%s %s: %v", p.Command, p.ID, err)
			return
		case p.EndedAt == nil:
			if state.Status.Ended() {
				t.Errorf("%s %s is %s; its workflow is %s", p.Command, p.ID, p.Status, state.Status)
			}
			return
		}
		eventually(t, "the workflow of "+p.ID+" ends", func() bool {
			state, err = engine.State(t.Context(), instance)
			return err == nil && state.Status.Ended()
		})
		var out struct {
			Status   string
			Sequence uint64
			Ended    bool
		}
		if err := json.Unmarshal([]byte(state.Output), &out); err != nil {
			t.Errorf("%s %s: %v: %s", p.Command, p.ID, err, state.Output)
		}
		if state.Name != name || state.Status != workflows.StatusCompleted || !out.Ended || out.Status != p.Status || out.Sequence != uint64(len(events)) {
			t.Errorf("%s %s is %s at event %d; its workflow %+v", p.Command, p.ID, p.Status, len(events), state)
		}
		history, err := engine.History(t.Context(), instance)
		if err != nil || len(history) == 0 || history[len(history)-1].Event != "ExecutionCompleted" {
			t.Errorf("the history of %s %s: %v, %+v", p.Command, p.ID, err, history)
		}
		if err := engine.Purge(t.Context(), instance); err != nil {
			t.Errorf("%s %s: %v", p.Command, p.ID, err)
		}
		compared.Add(1)
	})
	require.Equal(t, all, b.allCommands(t), "progress needs no engine")
	require.Greater(t, int(compared.Load()), 50)
	t.Logf("%d commands agree with their workflows", compared.Load())
}
