package main

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/app"
	"github.com/longrun-dev/longrun/app/bank"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

const good = `transaction_id,account_id,date,direction,operation,amount,balance_after,purpose,counterparty_bank,counterparty_account
171812,576,1993-01-01,credit,cash-deposit,900.00,900.00,,,
`

// run is one call of "bank import" with a file, at a bank of its own.
func run(t *testing.T, content string) (stdout, stderr string, err error) {
	t.Helper()
	domain := bank.Domain().Catalog()
	system, err := actors.New([]*catalog.Domain{domain}, stream.NewMemory(), nil, actors.Config{})
	require.NoError(t, err)
	t.Cleanup(system.Close)
	all, err := catalog.New(domain)
	require.NoError(t, err)
	api, err := app.NewServer(app.Options{Catalog: all})
	require.NoError(t, err)
	api.Use(app.Whole{System: system})
	web := httptest.NewServer(api)
	t.Cleanup(web.Close)

	file := filepath.Join(t.TempDir(), "transactions.csv")
	require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
	var out, errs strings.Builder
	c := app.Command(bank.Domain())
	c.AddCommand(importCommand(), demoCommand())
	c.SetArgs([]string{"import", "--url", web.URL, file})
	c.SetOut(&out)
	c.SetErr(&errs)
	err = c.ExecuteContext(t.Context())
	return out.String(), errs.String(), err
}

func TestImportSaysWhatItDid(t *testing.T) {
	stdout, stderr, err := run(t, good)
	require.NoError(t, err)
	require.Empty(t, stderr)
	require.Contains(t, stdout, "1 accounts, 1 transactions in ")
	require.Contains(t, stdout, "1 of 1 as the file says, 0 differ")
}

func TestImportFailsWhenALineIsFaulty(t *testing.T) {
	stdout, stderr, err := run(t, good+"what?\n")
	require.Error(t, err)
	require.Equal(t, "line 3: 1 fields, expected 10\n", stderr)
	require.Contains(t, stdout, "1 of 1 as the file says")
	require.Contains(t, stdout, "1 lines of the file are faulty")
}
