package berka_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/app"
	"github.com/longrun-dev/longrun/app/bank"
	"github.com/longrun-dev/longrun/app/bank/berka"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

// server is the whole application in this process, over a store in memory.
// around, if given, stands before it.
func server(t *testing.T, around func(http.Handler) http.Handler) string {
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
	var handler http.Handler = api
	if around != nil {
		handler = around(api)
	}
	web := httptest.NewUnstartedServer(handler)
	web.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, connection{}, c)
	}
	web.Start()
	t.Cleanup(web.Close)
	return web.URL
}

// connection is the key of a request's connection in its context.
type connection struct{}

// load imports and gathers what was reported. Every stage that began must have
// come to its end.
func load(t *testing.T, url, file string) (sum berka.Summary, reports []string, err error) {
	t.Helper()
	left := map[string]int{}
	sum, err = berka.Import(t.Context(), strings.NewReader(file), berka.Options{
		URL: url, Patience: 10 * time.Second, FirstWait: time.Millisecond,
		Report:   func(err error) { reports = append(reports, err.Error()) },
		Progress: func(stage string, done, total int) { left[stage] = total - done },
	})
	if err == nil {
		require.Equal(t, map[string]int{"opening": 0, "limits": 0, "posting": 0, "checking": 0}, left)
	}
	return sum, reports, err
}

// year is a small file in the format of the real one.
const year = `transaction_id,account_id,date,direction,operation,amount,balance_after,purpose,counterparty_bank,counterparty_account
171812,576,1993-01-01,credit,cash-deposit,900.00,900.00,,,
207264,704,1993-01-01,credit,cash-deposit,1000.00,1000.00,,,
171813,576,1993-01-11,credit,transfer-in,6207.00,7107.00,pension,YZ,30300313
232961,704,1993-01-15,debit,cash-withdrawal,1500.25,-500.25,household,,
232962,704,1993-01-15,debit,cash-withdrawal,14.60,-514.85,statement-fee,,
171814,576,1993-01-31,credit,interest,20.19,7127.19,interest-credited,,
232963,704,1993-02-15,credit,transfer-in,1000.10,485.25,,AB,1
`

func get(t *testing.T, address string, into any) {
	t.Helper()
	res, err := http.Get(address)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.NoError(t, json.NewDecoder(res.Body).Decode(into))
}

// all that the API says of accounts, to see that nothing changes.
func everything(t *testing.T, url string, accounts ...string) string {
	t.Helper()
	var b bytes.Buffer
	for _, a := range accounts {
		res, err := http.Get(url + "/entities/bank.account/" + a + "/events?limit=1000")
		require.NoError(t, err)
		_, err = io.Copy(&b, res.Body)
		require.NoError(t, err)
		res.Body.Close()
	}
	return b.String()
}

func TestImport(t *testing.T) {
	url := server(t, nil)
	sum, reports, err := load(t, url, year)
	require.NoError(t, err)
	require.Empty(t, reports)
	require.True(t, sum.OK())
	sum.Took = 0
	require.Equal(t, berka.Summary{Accounts: 2, Transactions: 7, Limits: 1, Agree: 2}, sum)

	var statement struct {
		State bank.Entries
	}
	get(t, url+"/entities/bank.account/576/projections/statement", &statement)
	require.Len(t, statement.State, 3)
	last := statement.State[1]
	require.Equal(t, bank.Entry{
		Sequence: 3, At: last.At, What: "money-deposited", Amount: 620700, Balance: 710700,
		Details: bank.Details{Operation: "transfer-in", Purpose: "pension", Counterparty: "YZ/30300313", Occurred: "1993-01-11"},
	}, last)

	var limit struct{ State bank.Minor }
	get(t, url+"/entities/bank.account/704/projections/overdraft-limit", &limit)
	require.EqualValues(t, 51485, limit.State)

	for _, command := range []string{
		"bank.open-account/open-576", "bank.set-overdraft-limit/limit-704-51485", "bank.deposit-money/171813", "bank.withdraw-money/232962",
	} {
		var progress struct{ Status string }
		get(t, url+"/commands/"+command, &progress)
		require.Equal(t, "completed", progress.Status, command)
	}
}

func TestImportAgainChangesNothing(t *testing.T) {
	url := server(t, nil)
	_, _, err := load(t, url, year)
	require.NoError(t, err)
	before := everything(t, url, "576", "704")
	sum, reports, err := load(t, url, year)
	require.NoError(t, err)
	require.Empty(t, reports)
	require.True(t, sum.OK())
	require.Equal(t, 2, sum.Agree)
	require.Zero(t, sum.Limits)
	require.Equal(t, before, everything(t, url, "576", "704"))
}

// The next year begins with the balances at the end of this one.
const nextYear = `transaction_id,account_id,date,direction,operation,amount,balance_after,purpose,counterparty_bank,counterparty_account
300001,576,1994-01-01,debit,cash-withdrawal,127.19,7000.00,,,
300002,704,1994-01-02,debit,cash-withdrawal,1085.25,-600.00,,,
`

func TestImportGoesOnFromTheYearBefore(t *testing.T) {
	url := server(t, nil)
	_, _, err := load(t, url, year)
	require.NoError(t, err)

	sum, reports, err := load(t, url, nextYear)
	require.NoError(t, err)
	require.Empty(t, reports)
	sum.Took = 0
	require.Equal(t, berka.Summary{Accounts: 2, Transactions: 2, Limits: 1, Agree: 2}, sum, "the limit was not enough and is raised")

	sum, reports, err = load(t, url, year)
	require.NoError(t, err)
	require.Empty(t, reports)
	require.True(t, sum.OK(), "the year before is checked as it was")
	require.Equal(t, 2, sum.Moved)
}

func TestImportWithoutTheYearBefore(t *testing.T) {
	sum, reports, err := load(t, server(t, nil), strings.Replace(nextYear, "debit,cash-withdrawal,127.19,7000.00", "credit,x,127.19,7254.38", 1))
	require.NoError(t, err)
	require.Equal(t, []string{ // 485.25 of the year before are missing
		"line 3: transaction 300002, account 704: rejected (insufficient-funds): balance 0 and overdraft limit 60000 are less than 108525",
		"account 704: the balance is 0.00, the file says -600.00",
	}, reports)
	sum.Took = 0
	require.Equal(t, berka.Summary{Accounts: 2, Transactions: 2, Limits: 1, Refused: 1, Agree: 1, Shifted: 1, Differ: 1}, sum,
		"576 agrees in what the file adds")
}

func TestImportSeesABalanceThatDiffers(t *testing.T) {
	url := server(t, nil)
	send(t, url, "bank.open-account", "open-576", `{"account":"576","owner":"somebody else"}`)
	send(t, url, "bank.deposit-money", "before", `{"account":"576","amount":7}`)
	sum, reports, err := load(t, url, year)
	require.NoError(t, err)
	require.False(t, sum.OK())
	require.Equal(t, 1, sum.Differ)
	require.Equal(t, 1, sum.Agree)
	require.Equal(t, []string{"account 576: the balance is 7127.26, the file says 7127.19; before the file it was 0.07, the file begins with 0.00"}, reports)
}

func send(t *testing.T, url, command, id, params string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, url+"/commands/"+command, strings.NewReader(params))
	require.NoError(t, err)
	req.Header.Set("Idempotency-Key", id)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, http.StatusOK, res.StatusCode)
}

func TestImportDoesNotLowerALimit(t *testing.T) {
	url := server(t, nil)
	send(t, url, "bank.open-account", "x", `{"account":"704","owner":"x","overdraftLimit":99999}`)
	sum, _, err := load(t, url, year)
	require.NoError(t, err)
	require.True(t, sum.OK())
	require.Zero(t, sum.Limits)
}

func TestImportReportsLinesAndGoesOn(t *testing.T) {
	bad := strings.Replace(year, "6207.00", "6207.001", 1)
	sum, reports, err := load(t, server(t, nil), bad)
	require.NoError(t, err)
	require.False(t, sum.OK())
	require.Equal(t, 6, sum.Transactions)
	require.Equal(t, 2, sum.Faults)
	require.Equal(t, []string{
		`line 4: amount "6207.001" is not a positive number of crowns with two decimals`,
		`line 7: balance_after of account 576 is 7127.19, but its line before leads to 920.19`,
		`account 576: the balance is 920.19, the file says 7127.19`,
	}, reports)
}

func TestImportOfAnotherFile(t *testing.T) {
	_, _, err := load(t, "http://127.0.0.1:1", "account_id\n1\n")
	require.ErrorContains(t, err, "not a file of transactions")
}

func TestImportSaysThatNobodyAnswers(t *testing.T) {
	web := httptest.NewServer(http.NotFoundHandler())
	web.Close()
	_, err := berka.Import(t.Context(), strings.NewReader(year), berka.Options{URL: web.URL, Patience: 20 * time.Millisecond, FirstWait: time.Millisecond})
	require.ErrorContains(t, err, web.URL+" does not answer")
	require.ErrorContains(t, err, "connection refused")
}

// Somebody who says when to come again is not asked before.
func TestImportWaitsAsLongAsItIsTold(t *testing.T) {
	var requests atomic.Int64
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, `{"code":"unavailable","detail":"closed for today"}`)
	}))
	t.Cleanup(web.Close)
	_, err := berka.Import(t.Context(), strings.NewReader(year), berka.Options{URL: web.URL, Patience: time.Second, FirstWait: time.Millisecond})
	require.ErrorContains(t, err, "unavailable: closed for today")
	require.EqualValues(t, 1, requests.Load())
}

func TestImportEndsWhenTold(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	url := server(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			cancel()
			w.WriteHeader(http.StatusServiceUnavailable)
		})
	})
	_, err := berka.Import(ctx, strings.NewReader(year), berka.Options{URL: url})
	require.ErrorIs(t, err, context.Canceled)
}

// long is a file of one account whose every withdrawal needs the deposit before.
func long(n int) string {
	var b strings.Builder
	b.WriteString(year[:strings.Index(year, "\n")+1])
	for i := range n {
		fmt.Fprintf(&b, "%d,1,1993-01-01,credit,x,1.00,1.00,,,\n%d,1,1993-01-01,debit,x,1.00,0.00,,,\n", 2*i, 2*i+1)
	}
	return b.String()
}

// Whatever breaks, whenever: in the end everything is there, once.
func TestImportGoesOnAfterFaults(t *testing.T) {
	// Each fault is for the request with the number that it gets, from 1.
	for name, fault := range map[string]func(n int64, api http.Handler, w http.ResponseWriter, r *http.Request){
		"every other request is unavailable": func(n int64, api http.Handler, w http.ResponseWriter, r *http.Request) {
			if n%2 == 1 {
				w.Header().Set("Retry-After", "0")
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			api.ServeHTTP(w, r)
		},
		"every other request is read, and nothing of it is done": func(n int64, api http.Handler, w http.ResponseWriter, r *http.Request) {
			if n%2 == 0 || r.URL.Path != "/commands" {
				api.ServeHTTP(w, r)
				return
			}
			var line struct{ ID string }
			for in := json.NewDecoder(r.Body); in.Decode(&line) == nil; {
				fmt.Fprintf(w, `{"id":%q,"status":"error","error":{"code":"unavailable","detail":"the store is away"}}`+"\n", line.ID)
			}
		},
		"the connection breaks before it answers": func(n int64, api http.Handler, w http.ResponseWriter, r *http.Request) {
			if n%2 == 1 {
				panic(http.ErrAbortHandler)
			}
			api.ServeHTTP(w, r)
		},
		"the connection breaks in the middle of the answers": func(n int64, api http.Handler, w http.ResponseWriter, r *http.Request) {
			if n%2 == 0 && n < 20 {
				w = &breaking{w, r.Context().Value(connection{}).(net.Conn), 3000}
			}
			api.ServeHTTP(w, r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int64
			var failing atomic.Bool
			failing.Store(true)
			url := server(t, func(api http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if !failing.Load() {
						api.ServeHTTP(w, r)
						return
					}
					fault(requests.Add(1), api, w, r)
				})
			})
			sum, reports, err := load(t, url, long(3000))
			require.NoError(t, err)
			require.True(t, sum.OK(), "%v", reports)
			require.Equal(t, 6000, sum.Transactions)
			require.NotEmpty(t, reports, "waits are reported")

			failing.Store(false)
			var state struct{ Sequence int }
			get(t, url+"/entities/bank.account/1/projections/balance", &state)
			require.Equal(t, 6001, state.Sequence)
		})
	}
}

// breaking breaks the connection after so many bytes.
type breaking struct {
	http.ResponseWriter
	connection io.Closer
	left       int
}

func (w *breaking) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *breaking) Write(b []byte) (int, error) {
	if w.left -= len(b); w.left < 0 {
		return 0, errors.Join(io.ErrClosedPipe, w.connection.Close())
	}
	return w.ResponseWriter.Write(b)
}

// The real year, if it is there.
func TestImportOfTheRealYear(t *testing.T) {
	folder := os.Getenv("LONGRUN_BERKA")
	if folder == "" {
		folder = filepath.FromSlash("../../../../shared/data/berka")
	}
	if testing.Short() {
		t.Skip("27,215 transactions, twice")
	}
	file, err := os.Open(filepath.Join(folder, "transactions-1993.csv"))
	if os.IsNotExist(err) {
		t.Skip("the data is not here; LONGRUN_BERKA names its folder")
	}
	require.NoError(t, err)
	defer file.Close()
	url := server(t, nil)
	for range 2 {
		sum, err := berka.Import(t.Context(), file, berka.Options{URL: url, Report: func(err error) { t.Error(err) }})
		require.NoError(t, err)
		t.Log(sum)
		require.Equal(t, 1111, sum.Agree)
		require.Equal(t, 27215, sum.Transactions)
		require.True(t, sum.OK())
		_, err = file.Seek(0, io.SeekStart)
		require.NoError(t, err)
	}
}
