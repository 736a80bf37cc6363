// Package actors runs entities on Dapr actors: who owns a stream, how commands
// reach their owner, and how what it decides is committed.
package actors

import (
	"encoding/json"
	"time"

	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

// Command asks for one direct command. Params keep to the command's schema:
// whoever makes a Command has checked them.
type Command struct {
	Name     string // "bank.deposit-money"
	ID       string // the idempotency key, unique across command names
	Params   json.RawMessage
	Expected *uint64 // the entity's sequence must be this, else conflict
	Context  stream.Context
	CauseAt  time.Time // commit time of what caused it; zero if nothing of ours did

	// Of a part of something that keeps a record of its own (a step, an item of a
	// batch): then nothing is written but to the entity.
	Step    string          // which decision of the command; "" is the direct one
	Results json.RawMessage // of earlier steps: an object, by name
	Settle  bool            // do not decide: make sure that it has happened or never will
	Dry     bool            // decide, and append nothing
}

// StatusSettled is the answer to Settle for what has not happened and never will.
const StatusSettled = "settled"

// Answer is what a direct command came to. Result is JSON, nil if none.
type Answer struct {
	ID       string          `json:"id"`
	Command  string          `json:"command"`
	Status   string          `json:"status"`
	Entity   string          `json:"entity"`
	Key      string          `json:"key"`
	Sequence uint64          `json:"sequence"`
	Result   json.RawMessage `json:"result,omitempty"`
}

// At says which state of an entity is meant; the zero value is the current one
// as its owner holds it.
type At struct {
	Time     *time.Time // what was committed at or before it
	Sequence *uint64    // the first so many events
	Strong   bool       // look whether the owner was replaced first
}

// State is a projection's answer. AsOf is the moment asked for, else the time
// of the last commit it holds.
type State struct {
	State    json.RawMessage `json:"state"`
	Sequence uint64          `json:"sequence"`
	AsOf     time.Time       `json:"asOf"`
}

// Judgement is a classifier's answer.
type Judgement struct {
	Verdict  catalog.Verdict
	Sequence uint64
}
