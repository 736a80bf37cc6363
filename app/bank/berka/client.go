package berka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/longrun-dev/longrun/app/bank"
)

// client speaks the HTTP API of one server.
type client struct {
	url       string // without a slash at its end
	http      *http.Client
	patience  time.Duration // how long without any progress until it gives up
	firstWait time.Duration // before the first retry
	notice    func(error)   // hears why there is a wait
}

// number reads a projection that is a number, with the account's sequence. An
// account that does not exist has none.
func (c *client) number(ctx context.Context, id bank.AccountID, projection string, at url.Values) (n bank.Minor, sequence uint64, err error) {
	address := fmt.Sprintf("%s/entities/bank.account/%s/projections/%s?%s", c.url, segment(string(id)), projection, at.Encode())
	err = c.retry(ctx, func(ctx context.Context) (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, c.patience)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return false, err
		}
		body, err := c.do(req)
		if err != nil {
			var p *problem
			if errors.As(err, &p) && p.Code == "not-found" {
				err = nil
			}
			return false, err
		}
		defer body.Close()
		var state struct {
			State    bank.Minor `json:"state"`
			Sequence uint64     `json:"sequence"`
		}
		if err := json.NewDecoder(body).Decode(&state); err != nil {
			return false, &unavailable{err: fmt.Errorf("the answer broke off: %w", err)}
		}
		n, sequence = state.State, state.Sequence
		return true, nil
	})
	if err != nil {
		return 0, 0, fmt.Errorf("%s of account %s: %w", projection, id, err)
	}
	return n, sequence, nil
}

// segment writes a key as one segment of a path.
func segment(key string) string {
	if strings.Trim(key, ".") == "" {
		return strings.ReplaceAll(key, ".", "%2E")
	}
	return url.PathEscape(key)
}

// do sends a request and answers with the body of a 200. A problem is a
// *problem; what may be sent again is an *unavailable.
func (c *client) do(req *http.Request) (io.ReadCloser, error) {
	res, err := c.http.Do(req)
	if err != nil {
		return nil, &unavailable{err: err}
	}
	if res.StatusCode == http.StatusOK {
		return res.Body, nil
	}
	defer res.Body.Close()
	p := &problem{Code: res.Status}
	data, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20)) // half a problem is better than none
	_ = json.Unmarshal(data, p)                            // a proxy between may answer in its own words
	if res.StatusCode >= 500 && res.StatusCode != http.StatusInternalServerError {
		seconds, _ := strconv.Atoi(res.Header.Get("Retry-After")) // absent: 0
		return nil, &unavailable{p, time.Duration(seconds) * time.Second}
	}
	return nil, p
}
