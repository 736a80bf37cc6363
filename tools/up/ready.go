package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"
)

// health is a URL that answers 2xx once the process of that name can be used.
type health struct{ name, url string }

// urls are the health addresses of the child of that name, or of all that are
// waited for at the end. A sidecar is ready only when placement and scheduler
// are, so these need no waiting of their own.
func (r *runner) urls(name string) []health {
	var all []health
	for _, c := range r.children {
		if c.name == name || name == "" && c.tier != base {
			all = append(all, health{c.name, c.ready})
		}
	}
	return all
}

// waitFor sends nil once every address has answered, or an error that names the
// first that did not before ctx ended.
func waitFor(ctx context.Context, all []health) <-chan error {
	result := make(chan error, 1)
	client := &http.Client{Timeout: 2 * time.Second}
	go func() {
		defer client.CloseIdleConnections()
		for _, h := range all {
			if err := poll(ctx, client, h.url); err != nil {
				result <- fmt.Errorf("%s is not ready: GET %s: %w", h.name, h.url, err)
				return
			}
		}
		result <- nil
	}()
	return result
}

// poll asks until the answer is 2xx. Its error is the last answer.
func poll(ctx context.Context, client *http.Client, url string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := get(client, url)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

func get(client *http.Client, url string) error {
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return errors.New(resp.Status)
	}
	return nil
}

// status is the content of the --status file.
type status struct {
	Ready     bool            `json:"ready"`
	Processes []processStatus `json:"processes"`
	API       []string        `json:"api"`
	DaprHTTP  []string        `json:"daprHTTP"`
	DaprGRPC  []string        `json:"daprGRPC"`
}

// processStatus is one child; its pid is 0 while it is down.
type processStatus struct {
	Name     string `json:"name"`
	PID      int    `json:"pid"`
	Restarts int    `json:"restarts"`
}

// writeStatus replaces the status file at once, so that a reader never sees half
// of it.
func (r *runner) writeStatus() error {
	if r.cfg.status == "" {
		return nil
	}
	s := status{Ready: r.ready, API: r.plan.api, DaprHTTP: r.plan.daprHTTP, DaprGRPC: r.plan.daprGRPC}
	for _, c := range r.children {
		s.Processes = append(s.Processes, processStatus{c.name, c.pid, c.restarts})
	}
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(r.cfg.status+".new", append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("status file: %w", err)
	}
	return os.Rename(r.cfg.status+".new", r.cfg.status)
}
