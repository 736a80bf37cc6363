// Package demo is a short tour over the API of a running bank. It prints each
// call as one would type it with curl, and what comes back.
package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Run takes the tour. The accounts' names end in suffix: a new one makes new
// accounts. The error is the first answer that the tour did not expect.
func Run(ctx context.Context, url, suffix string, out io.Writer) error {
	t := &tour{ctx: ctx, url: strings.TrimRight(url, "/"), out: out}
	jana, petr := "jana-"+strings.ToLower(suffix), "petr-"+strings.ToLower(suffix)
	id := func(what string) string { return what + "-" + strings.ToLower(suffix) }
	state := func(account, projection, query string) string {
		return fmt.Sprintf("/entities/bank.account/%s/projections/%s%s", account, projection, query)
	}

	t.say("Two accounts; Jana's may be overdrawn by 500.00. Money is in minor units.")
	t.post("bank.open-account", id("open-jana"), fmt.Sprintf(`{"account":%q,"owner":"Jana","overdraftLimit":50000}`, jana), http.StatusOK)
	t.post("bank.open-account", id("open-petr"), fmt.Sprintf(`{"account":%q,"owner":"Petr"}`, petr), http.StatusOK)

	t.say("A deposit answers with the balance left.")
	t.post("bank.deposit-money", id("pay"), fmt.Sprintf(`{"account":%q,"amount":120000,"purpose":"pension"}`, jana), http.StatusOK)

	t.say("The same id again: the same answer, and no second deposit.")
	t.post("bank.deposit-money", id("pay"), fmt.Sprintf(`{"account":%q,"amount":120000,"purpose":"pension"}`, jana), http.StatusOK)
	var before struct{ AsOf string }
	t.get(state(jana, "balance", ""), &before)

	t.say("Down to the overdraft limit, and not a haléř further.")
	t.post("bank.withdraw-money", id("rent"), fmt.Sprintf(`{"account":%q,"amount":170000,"purpose":"household"}`, jana), http.StatusOK)
	t.post("bank.withdraw-money", id("sweets"), fmt.Sprintf(`{"account":%q,"amount":1}`, jana), http.StatusUnprocessableEntity)

	t.say("Many commands in one request, answered while lines still come.")
	t.bulk(
		fmt.Sprintf(`{"command":"bank.deposit-money","id":%q,"parameters":{"account":%q,"amount":300}}`, id("a"), petr),
		fmt.Sprintf(`{"command":"bank.deposit-money","id":%q,"parameters":{"account":%q,"amount":-5}}`, id("b"), petr),
		fmt.Sprintf(`{"command":"bank.withdraw-money","id":%q,"parameters":{"account":%q,"amount":300}}`, id("c"), petr))

	t.say("The statement; the balance as it was before the rent; who is overdrawn.")
	t.get(state(jana, "statement", ""), nil)
	t.get(state(jana, "balance", "?asOf="+before.AsOf), nil)
	t.get("/entities/bank.account/"+jana+"/classifications/overdrawn", nil)

	t.say("What became of a command, and whether the account's chain of commits is whole.")
	t.get("/commands/bank.withdraw-money/"+id("sweets"), nil)
	t.call(http.MethodPost, "/entities/bank.account/"+jana+"/verify", nil, "", http.StatusOK)
	return t.err
}

// tour makes the calls one after the other, up to the first that fails.
type tour struct {
	ctx context.Context
	url string
	out io.Writer
	err error
}

func (t *tour) say(text string) {
	if t.err == nil {
		fmt.Fprintf(t.out, "\n# %s\n", text)
	}
}

// post asks for a command.
func (t *tour) post(command, id, params string, want int) {
	t.call(http.MethodPost, "/commands/"+command, []string{"Content-Type: application/json", "Idempotency-Key: " + id}, params, want)
}

// bulk asks for many, a line each.
func (t *tour) bulk(lines ...string) {
	t.call(http.MethodPost, "/commands", []string{"Content-Type: application/x-ndjson"}, strings.Join(lines, "\n")+"\n", http.StatusOK)
}

// get reads, into a value if one is given.
func (t *tour) get(path string, into any) {
	answer := t.call(http.MethodGet, path, nil, "", http.StatusOK)
	if t.err == nil && into != nil {
		t.err = json.Unmarshal(answer, into)
	}
}

func (t *tour) call(method, path string, headers []string, body string, want int) []byte {
	if t.err != nil {
		return nil
	}
	fmt.Fprintf(t.out, "$ %s\n", curl(method, t.url+path, headers, body))
	req, err := http.NewRequestWithContext(t.ctx, method, t.url+path, strings.NewReader(body))
	if err != nil {
		t.err = err
		return nil
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.err = fmt.Errorf("the bank at %s does not answer: %w", t.url, err)
		return nil
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.err = fmt.Errorf("%s %s: %w", method, path, err)
		return nil
	}
	fmt.Fprintf(t.out, "%d %s\n", res.StatusCode, pretty(answer))
	if res.StatusCode != want {
		t.err = fmt.Errorf("%s %s answers %d, the tour expects %d", method, path, res.StatusCode, want)
	}
	return answer
}

// curl writes a call as one would type it into a shell.
func curl(method, url string, headers []string, body string) string {
	words := []string{"curl", "-sS"}
	if method != http.MethodGet && body == "" {
		words = append(words, "-X", method)
	}
	words = append(words, quote(url))
	for _, h := range headers {
		words = append(words, "-H", quote(h))
	}
	if body != "" {
		words = append(words, "--data-binary", quote(body))
	}
	return strings.Join(words, " ")
}

func quote(word string) string {
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// pretty lays out a JSON answer that is too long for a line.
func pretty(answer []byte) string {
	answer = bytes.TrimSpace(answer)
	var laidOut bytes.Buffer
	if len(answer) < 200 || json.Indent(&laidOut, answer, "", "  ") != nil {
		return string(answer) // short, or many lines of their own
	}
	return laidOut.String()
}
