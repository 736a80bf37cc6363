package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// caller calls the HTTP API of an application.
type caller struct{ url string }

// get reads an answer.
func (c *caller) get(ctx context.Context, path string, into any) error {
	return c.call(ctx, http.MethodGet, path, "", nil, into)
}

// post sends a body under an id.
func (c *caller) post(ctx context.Context, path, id string, body, into any) error {
	return c.call(ctx, http.MethodPost, path, id, bytes.NewReader(encoded(body)), into)
}

func (c *caller) call(ctx context.Context, method, path, id string, body io.Reader, into any) error {
	r, err := http.NewRequestWithContext(ctx, method, c.url+path, body)
	if err != nil {
		return err
	}
	if id != "" {
		r.Header.Set("Idempotency-Key", id)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %.300s", method, path, answer.Status, data)
	}
	return json.Unmarshal(data, into)
}

// bulkLines is how many lines go in one bulk: a machine that is busy with other
// things comes to their ends in time.
const bulkLines = 500

// bulk runs commands through POST /commands until each has succeeded: what is
// unavailable is sent again.
func (c *caller) bulk(ctx context.Context, lines []any) error {
	for len(lines) > 0 {
		n := min(bulkLines, len(lines))
		again, err := c.bulkOnce(ctx, lines[:n])
		if err != nil {
			return err
		}
		lines = append(lines[n:], again...)
	}
	return nil
}

func (c *caller) bulkOnce(ctx context.Context, lines []any) (again []any, err error) {
	in, out := io.Pipe()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/commands", in)
	if err != nil {
		return nil, err
	}
	written := make(chan error, 1)
	go func() {
		encoder := json.NewEncoder(out)
		for _, line := range lines {
			if err := encoder.Encode(line); err != nil {
				written <- err
				return
			}
		}
		written <- out.Close()
	}()
	defer func() {
		_ = in.Close() // who writes ends when nobody reads
		if failed := <-written; err == nil {
			err = failed
		}
	}()
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	answers := json.NewDecoder(answer.Body)
	for _, line := range lines {
		var a struct {
			Status string `json:"status"`
			Error  struct{ Code, Detail string }
		}
		if err := answers.Decode(&a); err != nil {
			return nil, fmt.Errorf("POST /commands: %w", err)
		}
		switch {
		case a.Status == "completed":
		case a.Error.Code == "unavailable":
			again = append(again, line)
		default:
			return nil, fmt.Errorf("POST /commands: %s, %s: %s", a.Status, a.Error.Code, a.Error.Detail)
		}
	}
	return again, nil
}
