package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/longrun-dev/longrun/es"
)

type shelfID string

type (
	built   struct{}
	removed struct{}
	taken   struct {
		Crates int `json:"crates"`
	}
	put struct {
		Crates int `json:"crates"`
	}
	putBack struct {
		Crates int `json:"crates"`
	}
)

func (built) EventName() string   { return "built" }
func (removed) EventName() string { return "removed" }
func (taken) EventName() string   { return "taken" }
func (put) EventName() string     { return "put" }
func (putBack) EventName() string { return "put-back" }

var shelf = es.NewEntity[shelfID]("shelf",
	es.EventOf[built](), es.EventOf[removed](), es.EventOf[taken](), es.EventOf[put](), es.EventOf[putBack]())

var stands = es.NewProjection(shelf, "stands",
	es.On(func(bool, built) bool { return true }),
	es.On(func(bool, removed) bool { return false }))

var crates = es.NewProjection(shelf, "crates",
	es.On(func(n int, e taken) int { return n - e.Crates }),
	es.On(func(n int, e put) int { return n + e.Crates }),
	es.On(func(n int, e putBack) int { return n + e.Crates }))

var standing = es.NewClassifier("standing", stands, func(_ es.None, s bool) es.Verdict { return es.If(s) })

// content is what a decision on a shelf sees.
type content struct {
	Stands bool `json:"stands"`
	Crates int  `json:"crates"`
}

var contents = es.Join2(stands, crates, func(s bool, n int) content { return content{s, n} })

func (c content) take(n int) error {
	switch {
	case !c.Stands:
		return es.Reject("no-shelf", "there is no such shelf")
	case c.Crates < n:
		return es.Reject("not-enough", "%d crates are less than %d", c.Crates, n)
	}
	return nil
}

func (c content) put() error {
	if !c.Stands {
		return es.Reject("no-shelf", "there is no such shelf")
	}
	return nil
}

type build struct {
	Shelf  shelfID `json:"shelf" minLength:"1"`
	Crates int     `json:"crates" minimum:"0"`
}

func (b build) on() shelfID { return b.Shelf }

var buildShelf = es.NewCommand("build", es.Decide("build", build.on, stands, func(_ bool, c es.Call[build]) (es.Events, es.None, error) {
	return es.Events{built{}, put{c.In.Crates}}, es.None{}, nil
}).MustBeNew())

var fillShelf = es.NewCommand("fill", es.Decide("fill", build.on, contents, func(s content, c es.Call[build]) (es.Events, int, error) {
	if err := s.put(); err != nil {
		return nil, 0, err
	}
	return es.Events{put{c.In.Crates}}, s.Crates + c.In.Crates, nil
}))

type move struct {
	From   shelfID `json:"from" minLength:"1"`
	To     shelfID `json:"to" minLength:"1"`
	Crates int     `json:"crates" minimum:"1"`
}

func (m move) from() shelfID { return m.From }
func (m move) to() shelfID   { return m.To }

var moveCrates = es.NewCommand("move",
	es.Decide("take", move.from, contents, func(s content, c es.Call[move]) (es.Events, int, error) {
		if err := s.take(c.In.Crates); err != nil {
			return nil, 0, err
		}
		return es.Events{taken{c.In.Crates}}, s.Crates - c.In.Crates, nil
	}).Undo("put-back", func(c es.Call[move]) es.Events { return es.Events{putBack{c.In.Crates}} }),
	es.Decide("put", move.to, contents, func(s content, c es.Call[move]) (es.Events, es.None, error) {
		if err := s.put(); err != nil {
			return nil, es.None{}, err
		}
		return es.Events{put{c.In.Crates}}, es.None{}, nil
	}))

type spread struct {
	Of     int `json:"of" minimum:"1" doc:"how many shelves there might be"`
	Step   int `json:"step" minimum:"1" doc:"how far a shelf's crates go"`
	Crates int `json:"crates" minimum:"1"`
}

// spreadCrates has each shelf pass crates on to another: shelf "s-7" to "s-9" if
// the step is 2. The last pass to the first.
var spreadCrates = es.NewBatch("spread",
	func(es.Call[spread]) es.Group[shelfID] { return standing.With(es.None{}) },
	moveCrates, func(c es.Call[spread], from shelfID) move {
		name, number, _ := strings.Cut(string(from), "-")
		n, err := strconv.Atoi(number)
		if err != nil {
			panic(err) // which fails this item, and no other
		}
		return move{from, shelfID(fmt.Sprintf("%s-%d", name, (n+c.In.Step)%c.In.Of)), c.In.Crates}
	})
