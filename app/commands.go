package app

import (
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

// source is the Context.Source of everything that comes in over HTTP.
const source = "http"

// The headers of a command.
const (
	headerID          = "Idempotency-Key"
	headerCorrelation = "Correlation-Id"
	headerCausation   = "Causation-Id"
	headerWho         = "X-Who"
)

// postCommand runs a direct command to its end, and starts any other.
func (s *Server) postCommand(w http.ResponseWriter, r *request) error {
	name := r.path("command")
	check, err := s.params(name)
	if err != nil {
		return err
	}
	def, q := s.catalog.Commands[name], r.query
	o := order{options: q.options(def)}
	o.Name, o.Expected = name, q.number(paramExpected, 0, maxSequence)
	o.direct = def.Direct() != nil && !q.values.Has(optStartAt)
	checkExpected(def, &o, &q.faults)
	wait := q.duration("wait") // a direct command has ended when it is answered
	o.ID, o.Context = commandHeaders(r.Header, &q.faults)
	if err := q.err(); err != nil {
		return err
	}
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	if o.Params, err = check.check(body); err != nil {
		return err
	}
	identify(&o.Command)
	system, err := s.runtime()
	if err != nil {
		return err
	}
	if o.direct {
		answer, err := system.Do(r.Context(), o.Command)
		if err != nil {
			return err
		}
		return writeJSON(w, answer)
	}
	progress, err := system.RunsOn().Start(r.Context(), o.start())
	if err != nil {
		return err
	}
	if wait > 0 {
		if progress = s.awaitEnd(r.Context(), system, progress, wait); progress.Ended() {
			return writeJSON(w, progress)
		}
	}
	return writeAccepted(w, progress)
}

// params finds a command's.
func (s *Server) params(command string) (*params, error) {
	if p := s.commands[command]; p != nil {
		return p, nil
	}
	return nil, catalog.Faultf(catalog.NotFound, "there is no command %q", command)
}

// commandHeaders reads who asks and why, and the id if the caller chose one.
func commandHeaders(h http.Header, f *faults) (id string, c stream.Context) {
	return keyHeader(h, headerID, f), stream.Context{
		Who:           keyHeader(h, headerWho, f),
		Source:        source,
		CorrelationID: keyHeader(h, headerCorrelation, f),
		CausationID:   keyHeader(h, headerCausation, f),
	}
}

// keyHeader reads a header whose value obeys the rules of keys; absent is "".
func keyHeader(h http.Header, name string, f *faults) string {
	values := h.Values(name)
	if len(values) == 0 {
		return ""
	}
	if len(values) > 1 {
		f.add(name, "is given twice")
		return ""
	}
	if values[0] == "" {
		f.add(name, "the header %s is empty: give it at least 1 character, or leave it out", name)
	} else if err := stream.CheckKey(values[0]); err != nil {
		f.add(name, "%s", strings.Replace(err.Error(), "the key", "the header "+name, 1))
	}
	return values[0]
}

// identify gives a command an id if the caller chose none; a request without a
// correlation begins one.
func identify(c *actors.Command) {
	if c.ID == "" {
		c.ID = uuid.Must(uuid.NewV7()).String()
	}
	if c.Context.CorrelationID == "" {
		c.Context.CorrelationID = c.ID
	}
}

// listCommands lists recorded commands.
func (s *Server) listCommands(w http.ResponseWriter, r *request) error {
	q := r.query
	command, status, cursor, limit := q.text("command"), q.choice("status", statuses...), q.text("cursor"), q.limit()
	if err := q.err(); err != nil {
		return err
	}
	if command != "" {
		if _, err := s.params(command); err != nil {
			return err
		}
	}
	system, err := s.runtime()
	if err != nil {
		return err
	}
	items, next, err := system.Commands(r.Context(), command, status, cursor, limit)
	if err != nil {
		return err
	}
	return writeJSON(w, newPage(items, next))
}

// statuses is what a command's status can be.
var statuses = []any{
	"scheduled", "created", "running", "waiting", "paused", "compensation-failed",
	"completed", "completed-with-failures", "rejected", "failed", "compensated", "cancelled", "invalid",
}

// getCommand answers with one command's progress.
func (s *Server) getCommand(w http.ResponseWriter, r *request) error {
	asOf := r.query.moment("asOf")
	if err := r.query.err(); err != nil {
		return err
	}
	system, id, err := s.commandID(r)
	if err != nil {
		return err
	}
	progress, err := system.Progress(r.Context(), r.path("command"), id, asOf)
	if err != nil {
		return err
	}
	return writeJSON(w, progress)
}

// commandID checks the command's name and id in the path.
func (s *Server) commandID(r *request) (Runtime, string, error) {
	if _, err := s.params(r.path("command")); err != nil {
		return nil, "", err
	}
	id, err := pathKey(r, "id")
	if err != nil {
		return nil, "", err
	}
	system, err := s.runtime()
	return system, id, err
}

// pathKey reads a key or an id in the path.
func pathKey(r *request, name string) (string, error) {
	key := r.path(name)
	if err := stream.CheckKey(key); err != nil {
		return "", invalid(name, err.Error())
	}
	return key, nil
}

// page is one page of a list.
type page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty" doc:"the cursor of the next page; absent on the last"`
}

func newPage[T any](items []T, next string) page[T] {
	if items == nil {
		items = []T{}
	}
	return page[T]{items, next}
}

// judgement is a classifier's answer.
type judgement struct {
	Result   string `json:"result" enum:"included,excluded,undecided"`
	Sequence uint64 `json:"sequence"`
}
