package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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

// bulk runs n commands through POST /commands, each of which must succeed.
func (c *caller) bulk(ctx context.Context, n int, line func(i int) any) (err error) {
	in, out := io.Pipe()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/commands", in)
	if err != nil {
		return err
	}
	written := make(chan error, 1)
	go func() {
		lines := json.NewEncoder(out)
		var err error
		for i := 0; i < n && err == nil; i++ {
			err = lines.Encode(line(i))
		}
		written <- errors.Join(err, out.CloseWithError(err))
	}()
	defer func() {
		in.Close() // if nobody reads, nobody writes
		if failed := <-written; err == nil {
			err = failed
		}
	}()
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	answers := json.NewDecoder(answer.Body)
	for i := range n {
		var a struct {
			Status string          `json:"status"`
			Error  json.RawMessage `json:"error"`
		}
		if err := answers.Decode(&a); err != nil {
			return fmt.Errorf("answer %d: %w", i+1, err)
		}
		if a.Status != "completed" {
			return fmt.Errorf("answer %d is %s: %s", i+1, a.Status, a.Error)
		}
	}
	return nil
}
