package workflows_test

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dapr/durabletask-go/api"
	"github.com/dapr/durabletask-go/api/protos"
	"github.com/dapr/durabletask-go/backend"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/longrun-dev/longrun/workflows"
)

// The histories in testdata are of the first release of each workflow. Instances
// like them may be under way wherever Longrun runs, so they stay as they are. A
// workflow that does not replay one of them any more must get a new version beside
// the old one; a new version's histories are recorded with
//
//	go test ./workflows -run TestHistories -rewrite
//
// which leaves those that are there alone.
var rewrite = flag.Bool("rewrite", false, "record the histories that testdata has not")

// history is what an engine asked of one instance, turn by turn.
type history struct {
	Workflow string
	Turns    []turn
}

// turn is one call of a workflow: what the engine added to the history since the
// turn before, what is new, and what the workflow asked for.
type turn struct {
	Afresh  bool // the instance has continued as new
	Past    []*protos.HistoryEvent
	New     []*protos.HistoryEvent
	Actions []*protos.WorkflowAction
}

// recorder stands before the executor of an engine and records every turn.
type recorder struct {
	backend.Executor
	mu        sync.Mutex
	instances []string
	histories map[string]*history
	seen      map[string]int // events of the instance's history so far
}

func record(e *workflows.Embedded) *recorder {
	r := &recorder{Executor: e.Executor(), histories: map[string]*history{}, seen: map[string]int{}}
	e.SetExecutor(r)
	return r
}

func (r *recorder) ExecuteWorkflow(
	ctx context.Context, id api.InstanceID, past, fresh []*protos.HistoryEvent, opts backend.ExecuteOptions,
) (*protos.WorkflowResponse, error) {
	resp, err := r.Executor.ExecuteWorkflow(ctx, id, past, fresh, opts)
	if err != nil {
		return resp, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.histories[string(id)]
	if h == nil {
		h = &history{}
		r.histories[string(id)] = h
		r.instances = append(r.instances, string(id))
	}
	t := turn{Afresh: len(past) == 0 && len(h.Turns) > 0}
	if t.Afresh {
		r.seen[string(id)] = 0
	}
	t.Past, t.New = cloned(past[r.seen[string(id)]:]), cloned(fresh)
	r.seen[string(id)] = len(past) + len(fresh)
	t.Actions = plain(resp.GetActions())
	h.Turns = append(h.Turns, t)
	for _, e := range append(past, fresh...) {
		if s := e.GetExecutionStarted(); s != nil {
			h.Workflow = s.GetName()
		}
	}
	return resp, nil
}

// longest is the history of the instance of a workflow that took most turns.
func (r *recorder) longest(workflow string) *history {
	r.mu.Lock()
	defer r.mu.Unlock()
	var best *history
	for _, id := range r.instances {
		if h := r.histories[id]; h.Workflow == workflow && (best == nil || len(h.Turns) > len(best.Turns)) {
			best = h
		}
	}
	return best
}

func cloned[M proto.Message](list []M) []M {
	out := make([]M, len(list))
	for i, m := range list {
		out[i] = proto.Clone(m).(M)
	}
	return out
}

// plain are actions in their order, without what is different each time.
func plain(actions []*protos.WorkflowAction) []*protos.WorkflowAction {
	actions = cloned(actions)
	for _, a := range actions {
		a.Router = nil
		if s := a.GetScheduleTask(); s != nil {
			s.TaskExecutionId = ""
		}
		if r := a.GetCreateTimer().GetActivityRetry(); r != nil {
			r.TaskExecutionId = ""
		}
	}
	slices.SortStableFunc(actions, func(a, b *protos.WorkflowAction) int { return cmp.Compare(a.GetId(), b.GetId()) })
	return actions
}

// text is the history as JSON, an event or action a line.
func (h *history) text() ([]byte, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "{\n\"workflow\": %q,\n\"turns\": [", h.Workflow)
	for i, t := range h.Turns {
		b.WriteString(strings.Repeat(",", min(i, 1)) + "\n{")
		if t.Afresh {
			b.WriteString("\"afresh\": true, ")
		}
		for i, part := range []struct {
			name string
			list []proto.Message
		}{{"past", messages(t.Past)}, {"new", messages(t.New)}, {"actions", messages(t.Actions)}} {
			if i > 0 {
				b.WriteString(",\n ")
			}
			fmt.Fprintf(&b, "%q: [", part.name)
			for i, m := range part.list {
				line, err := protojson.Marshal(m)
				if err != nil {
					return nil, err
				}
				b.WriteString(strings.Repeat(",", min(i, 1)) + "\n  " + steady(line))
			}
			b.WriteString("]")
		}
		b.WriteString("}")
	}
	b.WriteString("\n]}\n")
	return []byte(b.String()), nil
}

func messages[M proto.Message](list []M) []proto.Message {
	out := make([]proto.Message, len(list))
	for i, m := range list {
		out[i] = m
	}
	return out
}

// steady takes out the spaces that protojson puts in at random.
func steady(line []byte) string {
	var tree any
	d := json.NewDecoder(strings.NewReader(string(line)))
	d.UseNumber()
	if err := d.Decode(&tree); err != nil {
		panic(err)
	}
	out, err := json.Marshal(tree)
	if err != nil {
		panic(err)
	}
	return string(out)
}

func readHistory(file string) (*history, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var raw struct {
		Workflow string `json:"workflow"`
		Turns    []struct {
			Afresh             bool              `json:"afresh"`
			Past, New, Actions []json.RawMessage // protojson
		} `json:"turns"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, err
	}
	h := &history{Workflow: raw.Workflow}
	for _, t := range raw.Turns {
		turn := turn{Afresh: t.Afresh}
		err := fromJSON(t.Past, &turn.Past, func() *protos.HistoryEvent { return new(protos.HistoryEvent) })
		if err == nil {
			err = fromJSON(t.New, &turn.New, func() *protos.HistoryEvent { return new(protos.HistoryEvent) })
		}
		if err == nil {
			err = fromJSON(t.Actions, &turn.Actions, func() *protos.WorkflowAction { return new(protos.WorkflowAction) })
		}
		if err != nil {
			return nil, err
		}
		h.Turns = append(h.Turns, turn)
	}
	return h, nil
}

func fromJSON[M proto.Message](lines []json.RawMessage, into *[]M, empty func() M) error {
	for _, line := range lines {
		m := empty()
		if err := protojson.Unmarshal(line, m); err != nil {
			return err
		}
		*into = append(*into, m)
	}
	return nil
}

// replay gives every prefix of a history that an engine gave to the workflow of
// this release, and says where it asks for something else than it did then.
func replay(ctx context.Context, x backend.Executor, instance string, h *history) error {
	var past []*protos.HistoryEvent
	for i, t := range h.Turns {
		if t.Afresh {
			past = nil
		}
		past = append(past, t.Past...)
		resp, err := x.ExecuteWorkflow(ctx, api.InstanceID(instance), cloned(past), cloned(t.New), backend.ExecuteOptions{})
		if err != nil {
			return err
		}
		got := plain(resp.GetActions())
		if len(got) != len(t.Actions) {
			return fmt.Errorf("turn %d: it asked for %v, now for %v", i+1, t.Actions, got)
		}
		for k, a := range got {
			if !proto.Equal(a, t.Actions[k]) {
				return fmt.Errorf("turn %d: it asked for %v, now for %v", i+1, t.Actions[k], a)
			}
		}
		past = append(past, t.New...)
	}
	return nil
}

// A change of a workflow that would break, or lead elsewhere, what is under way
// fails here.
func TestHistories(t *testing.T) {
	if *rewrite {
		recordHistories(t)
	}
	files, err := filepath.Glob("testdata/histories/*.json")
	require.NoError(t, err)
	l := newLab(t)
	registry, err := l.commands.Registry()
	require.NoError(t, err)
	engine := embedded(t, workflows.EmbeddedConfig{SQLite: filepath.Join(t.TempDir(), "replay.db")})
	stop, err := engine.WorkWithoutStore(t.Context(), registry)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, stop(context.Background())) })

	seen := map[string]bool{}
	for i, file := range files {
		h, err := readHistory(file)
		require.NoError(t, err, file)
		seen[h.Workflow] = true
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		assert.NoError(t, replay(ctx, engine.Executor(), fmt.Sprint("replay-", i), h),
			"%s: instances of the first release of %s would break: give the workflow a new version", file, h.Workflow)
		cancel()
	}
	for _, name := range []string{"longrun.command.v1", "longrun.batch.v1", "longrun.chunk.v1", "longrun.item.v1", "longrun.schedule.v1"} {
		require.True(t, seen[name], "no history of %s", name)
	}
}
