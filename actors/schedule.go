package actors

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"time"

	"github.com/google/uuid"

	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

const (
	scheduleType    = "longrun.schedule"
	reachedCommand  = "longrun.reached"
	lastProjection  = "last"
	eventOfSchedule = "reached"
)

// reached is a schedule's one event: up to this time all of its runs were
// started. The first says from when on it counts.
type reached struct {
	Command string    `json:"command"`
	At      time.Time `json:"at"`
}

// ScheduleReached is the time up to which all scheduled runs of a command were
// started; zero if its schedule has never been looked at.
func (s *System) ScheduleReached(ctx context.Context, command string) (time.Time, error) {
	state, err := s.Project(ctx, stream.ID{Type: scheduleType, Key: command}, lastProjection, At{Strong: true})
	var f *catalog.Fault
	if errors.As(err, &f) && f.Code == catalog.NotFound {
		return time.Time{}, nil
	}
	var at time.Time
	if err == nil {
		if err = json.Unmarshal(state.State, &at); err != nil {
			err = faultOf(err)
		}
	}
	return at, err
}

// ReachSchedule says that all runs up to a time were started. An earlier time than
// before changes nothing.
func (s *System) ReachSchedule(ctx context.Context, command string, at time.Time) error {
	params, err := json.Marshal(reached{command, at})
	if err != nil {
		return faultOf(err)
	}
	_, err = s.Do(ctx, Command{Name: reachedCommand, ID: uuid.NewString(), Params: params, Context: stream.Context{Source: "longrun"}})
	return err
}

// scheduleDomain defines a schedule's stream as an entity like any other.
func scheduleDomain() *catalog.Domain {
	entity := &catalog.Entity{Name: "schedule", Events: []*catalog.Event{indexEvent[reached](eventOfSchedule)}}
	last := &catalog.Projection{
		Name: lastProjection, Entity: entity, Version: 1, State: reflect.TypeFor[time.Time](), Handles: []bool{true},
		New: func() catalog.Fold { return new(lastReached) },
	}
	command := &catalog.Command{
		Local: eventOfSchedule, Params: reflect.TypeFor[reached](), Unrecorded: true,
		Decode: func(params []byte) (any, error) {
			p := new(reached)
			return p, json.Unmarshal(params, p)
		},
		Steps: []*catalog.Step{{Name: eventOfSchedule, Decision: &catalog.Decision{
			Step: eventOfSchedule, Entity: entity, Needs: []*catalog.Projection{last}, Result: reflect.TypeFor[struct{}](),
			Key: func(params any) string { return params.(*reached).Command },
			Decide: func(r catalog.Reader, c catalog.Call) (catalog.Outcome, error) {
				p := c.Params.(*reached)
				if !p.At.After(r.Now(last).(*lastReached).at) {
					return catalog.Outcome{}, nil
				}
				return catalog.Outcome{Events: []any{*p}}, nil
			},
		}}},
	}
	return &catalog.Domain{
		Name: catalog.Reserved, Own: true,
		Entities: []*catalog.Entity{entity}, Projections: []*catalog.Projection{last}, Commands: []*catalog.Command{command},
	}
}

// lastReached folds a schedule's stream.
type lastReached struct{ at time.Time }

func (l *lastReached) Apply(_ int, event any, _ *catalog.Meta) { l.at = event.(*reached).At }

func (l *lastReached) Marshal() (json.RawMessage, error) { return json.Marshal(l.at) }

func (l *lastReached) Unmarshal(state []byte) error { return json.Unmarshal(state, &l.at) }
