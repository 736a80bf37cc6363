package flow_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/flow"
)

var rewrite = flag.Bool("rewrite", false, "write the traces in testdata anew")

// The traces say what a command's stream answers to what is reported and asked:
// its events, where it stands then (=), and what is to be done next (>). Lines
// above ---- are what was said; below is what the machine made of each:
//
//	start COMMAND PARAMETERS [startAt=+1h] [stopAfterFailures=3] [invalid=WHY]
//	report STEP STATUS [attempt=2] [result=JSON] [sequence=5] [reason=R] [undo] [settle]
//	signal NAME [PAYLOAD]
//	cancel, pause, resume, retry-failed, finish, tick
//	fix-group sources=2
//	members [round=2] [shard=1] [from=3] [to=9] [last] KEY...
//	items [round=2] [chunk=1] INDEX:STATUS...
//
// and +5m before one of them moves the clock. A report is on the try that is
// under way, unless it says another one.
func TestTraces(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			got := played(t, string(data))
			if *rewrite {
				require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
			}
			require.Equal(t, string(data), got, "if that is meant: go test ./internal/flow -rewrite")
		})
	}
}

// played is a file with its answers made anew.
func played(t *testing.T, text string) string {
	var out strings.Builder
	stage := newStage(t)
	for _, block := range strings.Split(strings.TrimSpace(text), "\n\n") {
		said, _, _ := strings.Cut(block, "\n----")
		fmt.Fprintf(&out, "%s\n", said)
		answers, asked := "", false
		for line := range strings.Lines(said) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				answers, asked = answers+stage.answer(line), true
			}
		}
		if asked {
			fmt.Fprintf(&out, "----\n%s%s", answers, stage.shown())
		}
		out.WriteString("\n")
	}
	return strings.TrimSuffix(out.String(), "\n")
}

// stage is where one command plays: every file has one, and every start begins
// anew on it.
type stage struct {
	t      *testing.T
	domain *catalog.Catalog
	now    time.Time
	def    *catalog.Command
	state  *flow.State
	log    []logged
}

// logged is an event as it is stored.
type logged struct {
	name string
	data []byte
	at   time.Time
}

// noon is when every command of a trace starts.
var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func newStage(t *testing.T) *stage {
	return &stage{t: t, domain: domain(), now: noon}
}

// line is what one line says, split up.
type line struct {
	words []string
	flags map[string]string
}

func parsed(text string) line {
	l := line{flags: map[string]string{}}
	for _, word := range strings.Fields(text) {
		name, value, set := strings.Cut(word, "=")
		switch {
		case set && !strings.HasPrefix(word, "{"), name == "undo", name == "settle", name == "last":
			l.flags[name] = value
		default:
			l.words = append(l.words, word)
		}
	}
	return l
}

func (l line) word(n int) string {
	if n < len(l.words) {
		return l.words[n]
	}
	return ""
}

func (l line) number(name string, without int) int {
	if n, err := strconv.Atoi(l.flags[name]); err == nil {
		return n
	}
	return without
}

func (l line) is(name string) bool {
	_, set := l.flags[name]
	return set
}

// answer gives one line to the machine, and writes down the events.
func (s *stage) answer(text string) string {
	if pause, rest, moves := strings.Cut(text, " "); moves && strings.HasPrefix(pause, "+") {
		d, err := time.ParseDuration(pause)
		require.NoError(s.t, err)
		s.now, text = s.now.Add(d), rest
	}
	events, err := s.say(parsed(text))
	var f *catalog.Fault
	if errors.As(err, &f) {
		require.Empty(s.t, events)
		return fmt.Sprintf("refused, %v\n", f)
	}
	require.NoError(s.t, err, text)
	s.take(events)
	if len(events) == 0 {
		return "dropped\n"
	}
	var out strings.Builder
	for _, e := range s.log[len(s.log)-len(events):] {
		fmt.Fprintf(&out, "%s %s\n", e.name, e.data)
	}
	return out.String()
}

func (s *stage) say(l line) ([]flow.Event, error) {
	arg := func(n int) json.RawMessage {
		if l.word(n) == "" {
			return nil
		}
		return json.RawMessage(l.word(n))
	}
	switch l.word(0) {
	case "start":
		return s.start(l)
	case "report":
		return flow.Accept(s.def, s.state, s.report(l), s.now)
	case "signal":
		return flow.Signal(s.def, s.state, l.word(1), arg(2), s.now)
	case "cancel":
		return flow.Cancel(s.def, s.state, s.now)
	case "pause":
		return flow.Pause(s.def, s.state, s.now)
	case "resume":
		return flow.Resume(s.def, s.state, s.now)
	case "retry-failed":
		return flow.RetryFailed(s.def, s.state, s.now)
	case "finish":
		return flow.Finish(s.def, s.state, s.now)
	case "tick":
		return flow.Tick(s.def, s.state, s.now)
	case "fix-group":
		return flow.FixGroup(s.def, s.state, flow.GroupFixed{Group: json.RawMessage(`{"all":"shop.shelf"}`), AsOf: s.now, Sources: l.number("sources", 1)}, s.now)
	case "members":
		m := flow.Members{Round: l.number("round", 1), Shard: l.number("shard", 0), From: uint64(l.number("from", 0)), To: uint64(l.number("to", 0)), Last: l.is("last")}
		for _, key := range l.words[1:] {
			m.Members = append(m.Members, flow.Member{Key: key})
		}
		return flow.AddMembers(s.def, s.state, m, s.now)
	case "items":
		e := flow.ItemsRecorded{Round: l.number("round", 1), Chunk: l.number("chunk", 0)}
		for _, word := range l.words[1:] {
			index, status, _ := strings.Cut(word, ":")
			n, err := strconv.Atoi(index)
			require.NoError(s.t, err)
			e.Items = append(e.Items, flow.Item{Index: n, Key: "k" + index, Status: status, Attempts: 1})
		}
		return flow.RecordItems(s.def, s.state, e, s.now)
	}
	return nil, fmt.Errorf("nobody understands %q", l.words)
}

func (s *stage) start(l line) ([]flow.Event, error) {
	s.def, s.log, s.now = s.domain.Commands["shop."+l.word(1)], nil, noon
	s.state = &flow.State{Progress: flow.Progress{ID: "c1"}}
	options := flow.Options{StopAfterFailures: l.number("stopAfterFailures", 0)}
	if d, err := time.ParseDuration(l.flags["startAt"]); err == nil {
		at := s.now.Add(d)
		options.StartAt = &at
	}
	var invalid *catalog.Fault
	if l.is("invalid") {
		invalid = &catalog.Fault{Code: catalog.Invalid, Detail: l.flags["invalid"], Fields: []catalog.Field{{Field: "size", Message: l.flags["invalid"]}}}
	}
	return flow.Start(s.def, s.state, json.RawMessage(l.word(2)), options, nil, invalid, s.now)
}

func (s *stage) report(l line) flow.Report {
	r := flow.Report{
		Step: l.word(1), Status: l.word(2), Undo: l.is("undo"), Settle: l.is("settle"),
		Sequence: uint64(l.number("sequence", 0)), Reason: l.flags["reason"],
	}
	if l.is("result") {
		r.Result = json.RawMessage(l.flags["result"])
	}
	if r.Status != flow.StatusCompleted && r.Status != flow.StatusSettled {
		r.Detail = "that is why"
	}
	under := s.state.Current
	if r.Undo {
		under = s.state.Undoing
	}
	r.Attempt = 1
	if under != nil {
		r.Attempt = under.Attempt
	}
	r.Attempt = l.number("attempt", r.Attempt)
	return r
}

// take stores events, and checks what always holds.
func (s *stage) take(events []flow.Event) {
	next, err := s.state.With(events, s.now)
	require.NoError(s.t, err)
	s.state = next
	for _, e := range events {
		data, err := json.Marshal(e.Data)
		require.NoError(s.t, err)
		s.log = append(s.log, logged{e.Name, data, s.now})
	}
	sound(s.t, s.def, s.state, s.log)
}

// shown is where the command stands.
func (s *stage) shown() string {
	var out strings.Builder
	p := &s.state.Progress
	fmt.Fprintf(&out, "= %s", p.Status)
	if s.state.Batch == nil {
		for i, step := range p.Steps {
			fmt.Fprintf(&out, "%s%s %s", map[bool]string{true: ": ", false: ", "}[i == 0], step.Name, step.Status)
		}
	} else {
		fmt.Fprintf(&out, ": %d items, %d succeeded, %d failed, %d pending", p.Items.Total, p.Items.Succeeded, p.Items.Failed, p.Items.Pending)
	}
	if len(p.Result) > 0 {
		fmt.Fprintf(&out, "; result %s", p.Result)
	}
	if p.Error != nil {
		fmt.Fprintf(&out, "; %v", p.Error)
	}
	a := flow.Next(s.def, s.state, s.now)
	fmt.Fprintf(&out, "\n> %s", a.Do)
	switch {
	case a.Do == flow.DoWait && a.Until != nil:
		fmt.Fprintf(&out, " %s", a.Until.Sub(s.now))
	case a.Try.Step != "":
		fmt.Fprintf(&out, " %s, try %d", a.Try.Step, a.Try.Attempt)
	case s.state.Batch != nil && !s.state.Batch.Sealed && !p.Ended():
		for shard := range s.state.Batch.Sources {
			fmt.Fprintf(&out, ", shard %d from %d", shard, s.state.Batch.Covered[shard])
		}
	case s.state.Batch != nil && a.Do == flow.DoBatch && !s.state.Runs():
		out.WriteString(", no new items")
	}
	return out.String() + "\n"
}
