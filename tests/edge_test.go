package tests

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var edgeJourneys = []journey{
	{"the index page names what there is", readsTheIndex},
	{"the API describes itself", readsTheDescription},
	{"live, ready, measured", readsHealth},
	{"a method that a path does not have", usesAWrongMethod},
}

// bankCommands is every direct command of the bank.
var bankCommands = []string{openAccount, deposit, withdraw, setLimit, setBeneficiary, closeAccount, accrueInterest}

func readsTheIndex(t *testing.T, b *bank) {
	var index struct {
		Entities []struct {
			Type   string
			Events []struct {
				Name    string
				Version int
			}
			Projections []string
			Classifiers []struct{ Name string }
			Examples    []string
		}
		Commands []struct{ Name, Entity, Example string }
	}
	a := b.get(t, "/")
	require.Equal(t, http.StatusOK, a.status)
	require.NoError(t, json.Unmarshal(a.body, &index))
	require.Len(t, index.Entities, 1)
	account := index.Entities[0]
	require.Equal(t, accountType, account.Type)
	require.NotEmpty(t, account.Examples)
	var events, classifiers, commands []string
	for _, e := range account.Events {
		events = append(events, e.Name)
	}
	for _, c := range account.Classifiers {
		classifiers = append(classifiers, c.Name)
	}
	for _, c := range index.Commands {
		commands = append(commands, c.Name)
		require.Contains(t, c.Example, "/commands/"+c.Name)
	}
	require.Subset(t, events, []string{
		"account-opened", "beneficiary-set", "money-deposited", "money-withdrawn", "overdraft-limit-set",
		"interest-accrued", "interest-paid", "refunded", "account-closed",
	})
	require.Subset(t, account.Projections, []string{"balance", "overdraft-limit", "interest-due", "statement"})
	require.Subset(t, classifiers, []string{"open", "balance-below", "interest-accrued-on", "overdrawn", "has-interest-due"})
	require.Subset(t, commands, bankCommands)
}

// readsTheDescription shows one operation for each command, with the schema of
// its parameters and an example that is valid.
func readsTheDescription(t *testing.T, b *bank) {
	var api struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			OperationID string
			RequestBody struct {
				Content map[string]struct {
					Schema  json.RawMessage
					Example json.RawMessage
				}
			}
		}
	}
	a := b.get(t, "/openapi.json")
	require.Equal(t, http.StatusOK, a.status)
	require.NoError(t, json.Unmarshal(a.body, &api))
	require.True(t, strings.HasPrefix(api.OpenAPI, "3.1"))
	for _, command := range bankCommands {
		content := api.Paths["/commands/"+command]["post"].RequestBody.Content["application/json"]
		require.NotEmpty(t, content.Schema, command)
		require.NotEmpty(t, content.Example, command)
		answer := b.post(t, command, string(content.Example))
		require.NotEqual(t, http.StatusBadRequest, answer.status, "%s: the example is not valid: %s", command, answer.body)
	}
	for _, p := range []string{
		"/", "/commands", "/commands/{command}/{id}", "/commands/{command}/{id}/events",
		"/entities/{type}", "/entities/{type}/{key}/events", "/entities/{type}/{key}/projections/{projection}",
		"/entities/{type}/{key}/classifications/{classifier}", "/entities/{type}/{key}/verify",
		"/groups/{type}/{classifier}/members",
		"/healthz", "/readyz", "/metrics",
	} {
		require.Contains(t, api.Paths, p)
	}
}

func readsHealth(t *testing.T, b *bank) {
	var health struct{ Status, Version string }
	a := b.get(t, "/healthz")
	require.Equal(t, http.StatusOK, a.status)
	require.NoError(t, json.Unmarshal(a.body, &health))
	require.NotEmpty(t, health.Version)
	require.Equal(t, http.StatusOK, b.get(t, "/readyz").status)
	require.NotZero(t, b.metric(t, b.API[0], "longrun_http_request_duration_seconds_count"))
}

// metric is the sum of a metric's samples at one replica.
func (b *bank) metric(t *testing.T, replica, name string) (sum float64) {
	t.Helper()
	resp, err := b.client.Get(replica + "/metrics")
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		sample, isIt := bytes.CutPrefix(lines.Bytes(), []byte(name))
		if !isIt || !slices.Contains([]byte(" {"), sample[0]) {
			continue
		}
		var value float64
		_, err := fmt.Sscan(string(sample[bytes.LastIndexByte(sample, ' '):]), &value)
		require.NoError(t, err)
		sum += value
	}
	return sum
}

func usesAWrongMethod(t *testing.T, b *bank) {
	a := b.do(t, http.MethodDelete, path("entities", accountType), nil)
	a.fails("not-found")
	require.Contains(t, a.header.Get("Allow"), http.MethodGet)
}
