package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/longrun-dev/longrun/es"
)

// order asks for crates, and for everything that a command can wait for.
type order struct {
	Shelf  shelfID `json:"shelf" minLength:"1"`
	Crates int     `json:"crates" minimum:"1"`
	Way    string  `json:"way" enum:"post,pickup" doc:"how they get to the customer"`
	Within string  `json:"within,omitempty" doc:"how long to wait for the customer, such as 2s; an hour if left out"`
	Fails  string  `json:"fails,omitempty" enum:"pay,pay-back,hand-out" doc:"what does not succeed"`
}

func (o order) on() shelfID { return o.Shelf }

type approval struct {
	By string `json:"by" minLength:"1"`
}

// note is the world outside: each call of it is a file, with a line for every try.
func note(what, key, line string) error {
	file, err := os.OpenFile(filepath.Join(os.Getenv("DEPOT_WORLD"), what), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = file.WriteString(key + " " + line + "\n")
	return err
}

// mended says whether people have mended what failed.
func mended(what string) bool {
	_, err := os.Stat(filepath.Join(os.Getenv("DEPOT_WORLD"), "mended-"+what))
	return err == nil
}

var tries = es.Retry{Attempts: 3, First: 50 * time.Millisecond, Max: 200 * time.Millisecond}

var looked = es.Look("look", order.on, contents)

var reserved = es.Decide("reserve", order.on, contents, func(s content, c es.Call[order]) (es.Events, int, error) {
	if err := s.take(c.In.Crates); err != nil {
		return nil, 0, err
	}
	return es.Events{taken{c.In.Crates}}, s.Crates - c.In.Crates, nil
}).Undo("release", func(c es.Call[order]) es.Events { return es.Events{putBack{c.In.Crates}} })

var paid = es.Act("pay", func(_ context.Context, c es.Call[order]) (string, error) {
	if err := note("paid", c.Key, c.ID); err != nil {
		return "", err
	}
	if c.In.Fails == "pay" {
		return "", es.Reject("no-credit", "the customer has none")
	}
	return "receipt of " + c.ID, nil
}).Retry(tries).Undo("pay-back", func(_ context.Context, c es.Call[order]) error {
	if err := note("paid-back", c.Key, c.ID); err != nil {
		return err
	}
	if c.In.Fails == "pay-back" && !mended(c.ID) {
		return errors.New("the bank is closed")
	}
	return nil
})

var approved = es.Wait[order, approval]("wait", "approved", func(c es.Call[order]) time.Duration {
	if d, err := time.ParseDuration(c.In.Within); err == nil {
		return d
	}
	return time.Hour
})

var orderCrates = es.NewCommand("order", looked, reserved, paid, approved,
	es.Choose("way", func(c es.Call[order]) string { return c.In.Way },
		es.Path("post", es.Delay("pack", func(es.Call[order]) time.Duration { return 300 * time.Millisecond })),
		es.Path[order]("pickup")),
	es.Act("hand-out", func(_ context.Context, c es.Call[order]) (string, error) {
		if c.In.Fails == "hand-out" {
			return "", errors.Join(note("handed-out", c.Key, "in vain"), errors.New("nobody is there"))
		}
		return "to " + approved.Of(c).Signal.By, note("handed-out", c.Key, c.ID)
	}).Retry(tries))

func domain() es.Domain {
	return es.NewDomain("depot", shelf, stands, crates, standing, buildShelf, fillShelf, moveCrates, spreadCrates, orderCrates)
}
