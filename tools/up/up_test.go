package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The test binary is also the launcher and the app under test, so that nothing
// else has to be built.
const roleVar = "UP_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVar) {
	case "":
		os.Exit(m.Run())
	case "up":
		_ = os.Setenv(roleVar, "app")
		main()
	case "app":
		tinyApp()
	}
}

// tinyApp is ready once its sidecar is. Told to stop, it says whether the sidecar
// still serves it. GET /exit?code=3 makes it end by itself.
func tinyApp() {
	sidecar := "http://127.0.0.1:" + os.Getenv("DAPR_HTTP_PORT") + "/v1.0/healthz"
	fmt.Println("app started")
	http.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if get(http.DefaultClient, sidecar) != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	http.HandleFunc("GET /exit", func(http.ResponseWriter, *http.Request) { os.Exit(3) })
	go func() { fmt.Println(http.ListenAndServe(os.Getenv("LONGRUN_HTTP_ADDR"), nil)) }()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
	fmt.Println("app stopping; sidecar:", get(http.DefaultClient, sidecar))
}

// launch is a running launcher.
type launch struct {
	t      *testing.T
	cmd    *exec.Cmd
	out    *output
	status string
	done   chan struct{}
}

// output collects what is written while others read it.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// start runs `up` with the tiny app on free ports, in a data folder of its own
// unless flags say otherwise.
func start(t *testing.T, flags ...string) *launch {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "a b?c") // no path is too odd
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	l := &launch{t: t, out: &output{}, status: filepath.Join(dir, "status.json"), done: make(chan struct{})}
	args := append([]string{"--data", filepath.Join(dir, "data"), "--status", l.status, "--free-ports"}, flags...)
	l.cmd = exec.Command(self, append(args, "--", self)...)
	l.cmd.Env = append(os.Environ(), roleVar+"=up")
	l.cmd.Stdout, l.cmd.Stderr = l.out, l.out
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = l.cmd.Wait()
		close(l.done)
	}()
	t.Cleanup(func() {
		_ = l.cmd.Process.Kill()
		<-l.done
		if t.Failed() {
			t.Logf("output of up:\n%s", l.out)
		}
	})
	return l
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond) // between two looks, not instead of one
	}
	t.Fatalf("did not happen: %s", what)
}

// read returns the status file, empty while there is none.
func (l *launch) read() (s status) {
	if data, err := os.ReadFile(l.status); err == nil {
		if err := json.Unmarshal(data, &s); err != nil {
			l.t.Fatalf("status file is not whole: %v", err)
		}
	}
	return s
}

func (l *launch) ready() status {
	l.t.Helper()
	eventually(l.t, "ready", func() bool {
		select {
		case <-l.done:
			l.t.Fatal("up ended before it was ready")
		default:
		}
		return l.read().Ready
	})
	return l.read()
}

// code waits for the end and returns the exit code.
func (l *launch) code() int {
	l.t.Helper()
	eventually(l.t, "up ends", func() bool {
		select {
		case <-l.done:
			return true
		default:
			return false
		}
	})
	return l.cmd.ProcessState.ExitCode()
}

func (s status) process(name string) processStatus {
	for _, p := range s.Processes {
		if p.Name == name {
			return p
		}
	}
	return processStatus{}
}

// gone fails unless every process of s ends.
func (s status) gone(t *testing.T) {
	t.Helper()
	for _, p := range s.Processes {
		eventually(t, p.Name+" is gone", func() bool {
			return errors.Is(syscall.Kill(p.PID, 0), syscall.ESRCH)
		})
	}
}

func answers(url string) bool { return get(http.DefaultClient, url) == nil }

func TestStopsEverythingInOrder(t *testing.T) {
	l := start(t, "--replicas", "2")
	s := l.ready()
	if len(s.Processes) != 7 || len(s.API) != 2 || len(s.DaprHTTP) != 2 || len(s.DaprGRPC) != 2 {
		t.Fatalf("status: %+v", s)
	}
	for i := range s.API {
		if !answers(s.API[i]+"/readyz") || !answers(s.DaprHTTP[i]+"/v1.0/healthz") {
			t.Errorf("replica %d was called ready and does not answer", i+1)
		}
	}
	resp, err := http.Get(s.DaprHTTP[0] + "/v1.0/metadata")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); !strings.Contains(string(body), `"runtimeVersion":"`+daprVersion+`"`) {
		t.Errorf("the sidecar reports another version: %s", body)
	}

	if err := l.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := l.code(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	s.gone(t)
	if n := strings.Count(l.out.String(), "app stopping; sidecar: <nil>"); n != 2 {
		t.Errorf("%d of 2 apps could stop while their sidecar served them", n)
	}
	if _, err := os.Stat(l.status); !os.IsNotExist(err) {
		t.Errorf("the status file outlived the run: %v", err)
	}
}

func TestRestartsWhatIsKilled(t *testing.T) {
	l := start(t, "--restart")
	before := l.ready()
	for _, name := range []string{"app-1", "sidecar-1", "broker", "placement", "scheduler"} {
		if err := syscall.Kill(before.process(name).PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, name+" is back", func() bool {
			p := l.read().process(name)
			return p.Restarts >= 1 && p.PID != 0 && p.PID != before.process(name).PID
		})
	}
	eventually(t, "the app answers again, where it was", func() bool { return answers(before.API[0] + "/readyz") })
	after := l.read()
	if after.API[0] != before.API[0] || after.DaprHTTP[0] != before.DaprHTTP[0] {
		t.Errorf("addresses changed: %v, %v", before, after)
	}
}

func TestNothingOutlivesAKilledLauncher(t *testing.T) {
	l := start(t)
	s := l.ready()
	if err := l.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	s.gone(t)
}

func TestEndsWithItsApp(t *testing.T) {
	l := start(t)
	s := l.ready()
	_ = get(http.DefaultClient, s.API[0]+"/exit")
	if code := l.code(); code != 3 {
		t.Errorf("exit code %d, want the app's 3", code)
	}
	s.gone(t)
}

func TestEndsWhenTheStackDies(t *testing.T) {
	l := start(t)
	s := l.ready()
	if err := syscall.Kill(s.process("scheduler").PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if code := l.code(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	s.gone(t)
	if out := l.out.String(); !strings.Contains(out, "scheduler ended (signal: killed)") || !strings.Contains(out, "scheduler.log") {
		t.Error("it does not say which process died and what it logged")
	}
}

func TestSaysWhatToDo(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	port := fmt.Sprint(busy.Addr().(*net.TCPAddr).Port)
	used := t.TempDir()
	unlock, err := lockData(used)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()

	for _, c := range []struct {
		name  string
		env   string
		flags []string
		want  string
	}{
		{"port taken", "LONGRUN_DAPR_HTTP_PORT=" + port, nil, "port " + port + " (LONGRUN_DAPR_HTTP_PORT) is taken"},
		{"API port taken", "LONGRUN_HTTP_ADDR=:" + port, nil, "port " + port + " (LONGRUN_HTTP_ADDR) is taken"},
		{"data in use", "", []string{"--data", used}, "in use by another run"},
		{"no components", "", []string{"--components", used}, "choose a set with --components"},
		{"no database", "LONGRUN_POSTGRES=", []string{"--components", "../../components/postgres"}, "need LONGRUN_POSTGRES"},
		{"unknown flag", "", []string{"--replica", "2"}, "flag provided but not defined: -replica"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.env != "" {
				name, value, _ := strings.Cut(c.env, "=")
				t.Setenv(name, value)
			}
			l := start(t, c.flags...)
			if code := l.code(); code == 0 {
				t.Error("exit code 0")
			}
			out := strings.TrimSpace(l.out.String())
			if !strings.Contains(out, c.want) || strings.Contains(out, "\n") {
				t.Errorf("want one line with %q, got:\n%s", c.want, out)
			}
		})
	}
}

func TestExplainsAFullDisk(t *testing.T) {
	for _, err := range []error{
		&os.PathError{Op: "mkdir", Path: "data", Err: syscall.ENOSPC},
		errors.New("go build: exit status 1\nlink: writing output: no space left on device\nmore"),
	} {
		if text := explain(err); !strings.HasPrefix(text, "the disk is full") || strings.Contains(text, "\n") {
			t.Errorf("%q is explained as %q", err, text)
		}
	}
}
