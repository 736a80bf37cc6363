package main

import (
	"encoding/json"
	"fmt"

	"github.com/longrun-dev/longrun/es"
)

// The commands that run on: one of three steps, and batches over the members of
// a set, with items of one step and of three.
type (
	memberID string

	// enrolled puts a member into a set.
	enrolled struct {
		Set string `json:"set"`
	}

	enrolment struct {
		Member memberID `json:"member"`
		Set    string   `json:"set"`
	}

	// threefold is what each of three counters is asked for.
	threefold struct {
		First  counterID `json:"first"`
		Second counterID `json:"second"`
		Third  counterID `json:"third"`
		By     int       `json:"by"`
	}

	addToMember struct {
		Member memberID `json:"member"`
		By     int      `json:"by"`
	}

	ofSet struct {
		Set string `json:"set"`
		By  int    `json:"by"`
	}

	inSet struct {
		Set string `json:"set"`
	}
)

func (enrolled) EventName() string { return "enrolled" }

func (e enrolment) on() memberID   { return e.Member }
func (a addToMember) on() memberID { return a.Member }

func (t threefold) first() counterID  { return t.First }
func (t threefold) second() counterID { return t.Second }
func (t threefold) third() counterID  { return t.Third }

var (
	member = es.NewEntity[memberID]("member", es.EventOf[enrolled](), es.EventOf[added]())

	setOf = es.NewProjection(member, "set", es.On(func(_ string, e enrolled) string { return e.Set }))

	totalOfMember = es.NewProjection(member, "total", es.On(func(n int, e added) int { return n + e.By }))

	isInSet = es.NewClassifier("in-set", setOf, func(p inSet, s string) es.Verdict { return es.If(s == p.Set) })

	enrol = es.NewCommand("enrol", es.Decide("enrol", enrolment.on, setOf, func(_ string, c es.Call[enrolment]) (es.Events, es.None, error) {
		return es.Events{enrolled{c.In.Set}}, es.None{}, nil
	})).Unrecorded()

	three = es.NewCommand("three",
		es.Decide("first", threefold.first, total, addOne),
		es.Decide("second", threefold.second, total, addOne),
		es.Decide("third", threefold.third, total, addOne))

	addMember           = es.NewCommand("add-member", decideAddMember())
	addMemberUnrecorded = es.NewCommand("add-member-unrecorded", decideAddMember()).Unrecorded()

	addAll = es.NewBatch("add-all", overSet, addMember, func(c es.Call[ofSet], m memberID) addToMember {
		return addToMember{m, c.In.By}
	})

	threeAll = es.NewBatch("three-all", overSet, three, func(c es.Call[ofSet], m memberID) threefold {
		return threeOf(string(m), c.In.By)
	})
)

func addOne(n int, c es.Call[threefold]) (es.Events, int, error) {
	return es.Events{added{c.In.By}}, n + c.In.By, nil
}

func decideAddMember() *es.DecideStep[addToMember, int] {
	return es.Decide("add", addToMember.on, totalOfMember, func(n int, c es.Call[addToMember]) (es.Events, int, error) {
		return es.Events{added{c.In.By}}, n + c.In.By, nil
	})
}

func overSet(c es.Call[ofSet]) es.Group[memberID] { return isInSet.With(inSet{c.In.Set}) }

// The full names of what the load asks for.
const (
	memberType             = "bench.member"
	enrolMember            = "bench.enrol"
	addToMemberUnrecorded  = "bench.add-member-unrecorded"
	threeSteps             = "bench.three"
	batchOfDirectItems     = "bench.add-all"
	batchOfMultiStepItems  = "bench.three-all"
	stepsOfThreeStepsItems = 3
)

// threeOf are the counters that belong to a name.
func threeOf(name string, by int) threefold {
	return threefold{counterID(name + "-1"), counterID(name + "-2"), counterID(name + "-3"), by}
}

// keys are those of a threefold.
func (t threefold) keys() [stepsOfThreeStepsItems]counterID {
	return [...]counterID{t.First, t.Second, t.Third}
}

// memberName is the key of one member of a set.
func memberName(set string, i int) string { return fmt.Sprintf("%s-%d", set, i) }

// encoded is the JSON of parameters, which surely have one.
func encoded(v any) json.RawMessage {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}
