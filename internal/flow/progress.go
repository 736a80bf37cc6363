// Package flow holds the step machines behind commands, free of I/O: events of
// an instance's own stream in, progress and what to do next out.
package flow

import (
	"encoding/json"
	"time"

	"github.com/longrun-dev/longrun/internal/catalog"
)

// The statuses of a command (API.md).
const (
	StatusScheduled             = "scheduled"
	StatusCreated               = "created"
	StatusRunning               = "running"
	StatusWaiting               = "waiting"
	StatusPaused                = "paused"
	StatusCompensationFailed    = "compensation-failed"
	StatusCompleted             = "completed"
	StatusCompletedWithFailures = "completed-with-failures"
	StatusRejected              = "rejected"
	StatusFailed                = "failed"
	StatusCompensated           = "compensated"
	StatusCancelled             = "cancelled"
	StatusInvalid               = "invalid"
)

// The statuses of a step that are not a command's too.
const (
	StatusPending = "pending"
	StatusSkipped = "skipped"
)

// Progress is what a command stream tells of its command; the JSON is API.md's.
type Progress struct {
	ID         string          `json:"id"`
	Command    string          `json:"command"`
	Status     string          `json:"status"`
	CreatedAt  time.Time       `json:"createdAt"`
	EndedAt    *time.Time      `json:"endedAt,omitempty"`
	Parameters json.RawMessage `json:"parameters"`
	Steps      []Step          `json:"steps"`
	Items      *Items          `json:"items,omitempty"`
	Result     json.RawMessage `json:"result,omitempty"`
	Error      *catalog.Fault  `json:"error,omitempty"`
}

// Items is how far a batch is. The total is known once the group is resolved.
type Items struct {
	Total     int `json:"total"`
	Succeeded int `json:"succeeded"`
	Failed    int `json:"failed"`
	Pending   int `json:"pending"`
}

// Step is the progress of one step.
type Step struct {
	Name        string          `json:"name"`
	Status      string          `json:"status"`
	StartedAt   *time.Time      `json:"startedAt"`
	CompletedAt *time.Time      `json:"completedAt"`
	Attempts    int             `json:"attempts"`
	Message     string          `json:"message"`
	Result      json.RawMessage `json:"result,omitempty"`
	// Of a decision: the entity, and its sequence after the step.
	Entity   string `json:"-"`
	Key      string `json:"-"`
	Sequence uint64 `json:"-"`
}

// Ended says whether nothing more will happen to the command.
func (p *Progress) Ended() bool { return p.EndedAt != nil }

// Step finds a step by its name; nil if there is none.
func (p *Progress) Step(name string) *Step {
	for i := range p.Steps {
		if p.Steps[i].Name == name {
			return &p.Steps[i]
		}
	}
	return nil
}
