// Package estest tests domains: given what happened to an entity, when this is
// asked, then that happens. No sidecar, no store, no clock; a test takes
// microseconds.
//
//	estest.For(t, bank.Domain(), bank.Account, "576").
//		Given(bank.AccountOpened{Owner: "Jana"}, bank.MoneyDeposited{Amount: 100}).
//		When(estest.Do(bank.WithdrawMoney, bank.Movement{Account: "576", Amount: 101})).
//		Rejected("insufficient-funds")
//
// A command of many steps runs in a World of entities:
//
//	w := estest.NewWorld(t, bank.Domain())
//	payer := estest.Entity(w, bank.Account, "576").Given(bank.AccountOpened{Owner: "Jana"}, bank.MoneyDeposited{Amount: 100})
//	w.Run(estest.Do(bank.TransferMoney, bank.Transfer{From: "576", To: "nobody", Amount: 40})).
//		Is("compensated").Because("account-not-open").
//		Steps("withdraw compensated", "deposit rejected")
//
// Events, parameters, results and states all go through their JSON, as they do
// in production, and decisions are run as often as the runtime may run them. So
// a passing test says more than that a function returned something:
//
//   - an event comes back from storage as it was, through its upcasters;
//   - a decision answers the same when it is asked again;
//   - a decision that looks into the past copes with a past not loaded yet;
//   - a projection that goes on from a snapshot comes to the same state.
package estest

import (
	"testing"
	"time"

	"github.com/longrun-dev/longrun/es"
	"github.com/longrun-dev/longrun/internal/catalog"
)

// Start is when a test begins, unless At says otherwise.
var Start = time.Date(2026, time.January, 1, 12, 0, 0, 0, time.UTC)

// Stream is one entity under test, with what happened to it so far. It belongs
// to one goroutine.
type Stream struct {
	t      testing.TB
	world  *World
	entity *catalog.Entity
	key    string
	log    []recorded
}

// recorded is one event as it came back from storage.
type recorded struct {
	kind  *catalog.Event
	value any
	meta  catalog.Meta
}

// For starts with an entity to which nothing has happened. A domain with faults
// ends the test.
func For[K ~string](t testing.TB, domain es.Domain, entity *es.Entity[K], key K) *Stream {
	t.Helper()
	return Entity(NewWorld(t, domain), entity, key)
}

// only is a domain of one definition: what the definition is to the runtime.
func only(d es.Definition) *catalog.Domain { return es.NewDomain("only", d).Catalog() }

// At moves the clock: what follows is committed, asked and judged at that time.
// Time does not go back.
func (s *Stream) At(now time.Time) *Stream {
	s.t.Helper()
	s.world.At(now)
	return s
}

// By says who causes what follows.
func (s *Stream) By(who string) *Stream {
	s.world.By(who)
	return s
}

// Given adds events that happened, each in a commit of its own. An event that
// does not come back from its JSON as it was ends the test.
func (s *Stream) Given(events ...es.Event) *Stream {
	s.t.Helper()
	for _, e := range events {
		s.append(e, "")
	}
	return s
}

// GivenStored adds an event as an older release stored it: its name, its version
// and its JSON.
func (s *Stream) GivenStored(name string, version int, data string) *Stream {
	s.t.Helper()
	kind := s.entity.Event(name)
	if kind == nil {
		s.t.Fatalf("entity %q knows no event %q", s.entity.Type, name)
		return s
	}
	value, err := kind.Decode(version, []byte(data))
	if err != nil {
		s.t.Fatalf("stored event: %v", err)
		return s
	}
	s.record(kind, value, "")
	return s
}

// Events are all that happened, as their stored JSON comes back.
func (s *Stream) Events() es.Events {
	s.t.Helper()
	return s.since(0)
}

func (s *Stream) since(n int) es.Events {
	var events es.Events
	for _, r := range s.log[n:] {
		events = append(events, valueOf(r.value))
	}
	return events
}

// append stores an event and reads it back.
func (s *Stream) append(event any, causation string) {
	s.t.Helper()
	kind := s.entity.EventOf(event)
	if kind == nil {
		s.t.Fatalf("entity %q does not declare event %T", s.entity.Type, event)
		return
	}
	value, err := stored(kind, event)
	if err != nil {
		s.t.Fatalf("%v", err)
		return
	}
	s.record(kind, value, causation)
}

func (s *Stream) record(kind *catalog.Event, value any, causation string) {
	s.log = append(s.log, recorded{kind, value, catalog.Meta{
		Type: s.entity.Type, Key: s.key, Sequence: uint64(len(s.log)) + 1,
		At: s.world.now, Who: s.world.who, CausationID: causation, Schema: s.entity.Schema(),
	}})
}
