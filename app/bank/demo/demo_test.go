package demo_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/actors"
	"github.com/longrun-dev/longrun/app"
	"github.com/longrun-dev/longrun/app/bank"
	"github.com/longrun-dev/longrun/app/bank/demo"
	"github.com/longrun-dev/longrun/internal/catalog"
	"github.com/longrun-dev/longrun/internal/stream"
)

func bankServer(t *testing.T) *httptest.Server {
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
	return web
}

func TestTheTourSeesWhatItExpects(t *testing.T) {
	web := bankServer(t)
	for _, suffix := range []string{"One", "two"} {
		var out strings.Builder
		require.NoError(t, demo.Run(t.Context(), web.URL, suffix, &out), out.String())
		require.Contains(t, out.String(), `"reason": "insufficient-funds"`)
		require.Contains(t, out.String(), `"result":"included"`)
	}
}

// What it prints can be typed: curl gets the same answers.
func TestTheTourCanBeTyped(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("there is no curl here")
	}
	web := bankServer(t)
	var out strings.Builder
	require.NoError(t, demo.Run(t.Context(), web.URL, "x", &out))
	for _, call := range []string{"bank.open-account", "bank.withdraw-money"} {
		command := line(t, out.String(), "$ ", "/commands/"+call)
		answer, err := exec.Command("sh", "-c", command).Output()
		require.NoError(t, err, command)
		require.Contains(t, out.String(), strings.TrimSpace(string(answer)), "the same id gets the same answer")
	}
}

// line is the first line with a prefix and a part, without the prefix.
func line(t *testing.T, text, prefix, part string) string {
	t.Helper()
	for l := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(l, prefix); ok && strings.Contains(l, part) {
			return rest
		}
	}
	t.Fatalf("no line with %q", part)
	return ""
}

func TestTheTourSaysThatNobodyAnswers(t *testing.T) {
	web := httptest.NewServer(http.NotFoundHandler())
	web.Close()
	require.ErrorContains(t, demo.Run(t.Context(), web.URL, "x", io.Discard), "does not answer")
}
