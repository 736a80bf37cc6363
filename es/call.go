package es

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/longrun-dev/longrun/internal/catalog"
)

// Call is what a step is told besides the state of an entity.
type Call[P any] struct {
	In            P         // the command's parameters
	ID            string    // of the command
	At            time.Time // of the step, UTC; what is decided is committed at this time or later
	Who           string
	Source        string
	Commentary    string
	CorrelationID string
	CausationID   string

	// Key is what an Act gives to the system it calls, so that a second try has
	// no second effect: the same at every try, and nobody else's. Elsewhere it
	// is empty.
	Key string

	results map[string]json.RawMessage
}

func callOf[P any](c catalog.Call) Call[P] {
	return Call[P]{
		In: *c.Params.(*P), ID: c.ID, At: c.At, Who: c.Who, Source: c.Source, Commentary: c.Commentary,
		CorrelationID: c.CorrelationID, CausationID: c.CausationID, Key: c.Key, results: c.Results,
	}
}

// resultOf reads an earlier step's result out of a call; the zero value if the
// step did not run. That it cannot be read is a fault of the code: it was
// written as R.
func resultOf[P, R any](step string, c Call[P]) (r R) {
	data, ran := c.results[step]
	if !ran || len(data) == 0 {
		return r
	}
	if err := json.Unmarshal(data, &r); err != nil {
		panic(fmt.Sprintf("the result of step %q: %v", step, err))
	}
	return r
}

// resultJSON is what is stored of a step's result: nil for None.
func resultJSON(step string, result any) (json.RawMessage, error) {
	if _, none := result.(None); none {
		return nil, nil
	}
	data, err := json.Marshal(result)
	if err != nil {
		return nil, fmt.Errorf("result of %s: %w", step, err)
	}
	return data, nil
}
