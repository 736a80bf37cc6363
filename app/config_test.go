package app

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

func TestConfigByDefault(t *testing.T) {
	c, err := ConfigFrom(func(string) string { return "" })
	require.NoError(t, err)
	require.Equal(t, Config{
		HTTPAddr: "127.0.0.1:8080", CallbackAddr: "127.0.0.1:8081", ActorHosting: "auto", ShortWay: true, StateStore: "statestore", MaxOpen: 20_000,
		PubSub: "pubsub", Messages: 256, Engine: "dapr", EmbeddedStore: ".data/workflows.db", SweepAfter: 45 * time.Second,
		Limits: Limits{Requests: 1024, Streams: 128, Window: 4096}, ShutdownGrace: 20 * time.Second, LogFormat: "auto", LogLevel: slog.LevelInfo,
	}, c)
	require.Equal(t, c.Limits, Limits{}.withDefaults(), "the defaults are the same everywhere")
}

func TestConfigThatIsWrong(t *testing.T) {
	wrong := map[string]string{
		"LONGRUN_HTTP_ADDR": "8080", "LONGRUN_CALLBACK_ADDR": "0.0.0.0:8081", "LONGRUN_ACTOR_HOSTING": "grpc", "LONGRUN_SHORT_WAY": "yes",
		"LONGRUN_MAX_REQUESTS": "0", "LONGRUN_MAX_STREAMS": "many", "LONGRUN_BULK_WINDOW": "-1", "LONGRUN_SHUTDOWN_GRACE": "20",
		"LONGRUN_MAX_MESSAGES": "0", "LONGRUN_SWEEP_AFTER": "0s", "LONGRUN_WORKFLOW_ENGINE": "temporal", "LONGRUN_LOG_FORMAT": "xml", "LONGRUN_LOG_LEVEL": "loud",
	}
	_, err := ConfigFrom(func(name string) string { return wrong[name] })
	for name, value := range wrong {
		require.ErrorContains(t, err, name+` is "`+value+`"`, "all faults at once")
	}
	for _, addr := range []string{"localhost:http", "localhost:70000", ":"} {
		require.Error(t, checkAddr(addr), addr)
	}
}

func TestHelpShowsEverySetting(t *testing.T) {
	c := Command(testDomain())
	c.AddCommand(&cobra.Command{Use: "import", Run: func(*cobra.Command, []string) {}})
	var out bytes.Buffer
	c.SetOut(&out)
	c.SetArgs([]string{"--help"})
	require.NoError(t, c.ExecuteContext(t.Context()))
	for _, s := range settings() {
		require.Contains(t, out.String(), s.name)
		require.Contains(t, out.String(), s.meaning)
	}
	require.Contains(t, out.String(), "import")
}

func TestLogger(t *testing.T) {
	var b bytes.Buffer
	Config{LogFormat: "auto"}.logger(&b).Info("hello")
	require.True(t, strings.HasPrefix(b.String(), "{"), "JSON where there is no terminal")
	b.Reset()
	Config{LogFormat: "text", LogLevel: slog.LevelWarn}.logger(&b).Info("hello")
	require.Empty(t, b.String())
	f, err := os.CreateTemp(t.TempDir(), "")
	require.NoError(t, err)
	defer f.Close()
	require.False(t, terminal(f))
}

func TestPubSubThatIsOff(t *testing.T) {
	c, err := ConfigFrom(func(name string) string { return map[string]string{"LONGRUN_PUBSUB": "off"}[name] })
	require.NoError(t, err)
	require.Empty(t, c.PubSub)
}
