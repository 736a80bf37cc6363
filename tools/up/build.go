package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/schollz/progressbar/v3"
)

// daprVersion is what the sidecar reports; the app chooses its hosting by it. It
// is the version in tools/go.mod.
const daprVersion = "1.18.3"

const linkFlags = "-s -w" +
	" -X github.com/dapr/dapr/pkg/buildinfo.version=" + daprVersion +
	" -X github.com/dapr/kit/logger.DaprVersion=" + daprVersion

// ensureStack returns the stack binary, and builds it first if its sources have
// changed. Only one run builds at a time; the others wait for it.
func ensureStack(root string, out io.Writer) (string, error) {
	bin := filepath.Join(root, ".cache", "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return "", fmt.Errorf("cache folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(bin, "stack.lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", fmt.Errorf("cache folder: %w", err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}

	path, keyFile := filepath.Join(bin, "stack"), filepath.Join(bin, "stack.key")
	tools := filepath.Join(root, "tools")
	key, err := sourceKey(tools)
	if err != nil {
		return "", err
	}
	if old, err := os.ReadFile(keyFile); err == nil && string(old) == key {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	if err := build(tools, path+".new", out); err != nil {
		_ = os.Remove(path + ".new")
		return "", err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return "", err
	}
	return path, os.WriteFile(keyFile, []byte(key), 0o644)
}

// sourceKey is a hash of everything that the stack binary is made of.
func sourceKey(tools string) (string, error) {
	files, err := filepath.Glob(filepath.Join(tools, "stack", "*.go"))
	if err != nil {
		return "", err
	}
	parts, err := filepath.Glob(filepath.Join(tools, "stack", "*", "*.go"))
	if err != nil {
		return "", err
	}
	files = append(append(files, parts...), filepath.Join(tools, "go.mod"), filepath.Join(tools, "go.sum"))
	sum := sha256.New()
	sum.Write([]byte(linkFlags))
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%s %d\n", filepath.Base(name), len(data))
		sum.Write(data)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// build compiles the stack and shows how far it is.
func build(tools, output string, out io.Writer) error {
	if _, err := exec.LookPath("go"); err != nil {
		return errors.New("no go in PATH; install Go 1.26 or newer from https://go.dev/dl and start again")
	}
	begin := time.Now()
	fmt.Fprintln(out, "building the local Dapr stack; this takes a few minutes, and only the first time")
	total, err := countStale(tools, out)
	if err != nil {
		return err
	}
	show := newProgress(total, out)
	done := 0
	err = goCommand(tools, nil, func(line string) bool {
		if strings.Contains(line, " ") || strings.HasPrefix(line, "#") {
			return false
		}
		done++
		show(done)
		return true
	}, "build", "-v", "-trimpath", "-ldflags", linkFlags, "-o", output, "./stack")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nbuilt in %.0f s\n", time.Since(begin).Seconds())
	return nil
}

// countStale fetches the modules and returns how many packages have to be
// compiled: `go build -v` names exactly those.
func countStale(tools string, out io.Writer) (int, error) {
	fetched, said := 0, time.Now()
	var list bytes.Buffer
	err := goCommand(tools, &list, func(line string) bool {
		if !strings.HasPrefix(line, "go: downloading") {
			return false
		}
		fetched++
		if time.Since(said) > 2*time.Second {
			said = time.Now()
			fmt.Fprintf(out, "fetching modules: %d\n", fetched)
		}
		return true
	}, "list", "-deps", "-trimpath", "-ldflags", linkFlags, "-f", "{{if .Stale}}x{{end}}", "./stack")
	return strings.Count(list.String(), "x"), err
}

// goCommand runs the go tool in the tools module. Lines of its standard error go
// to take; what take does not want becomes the error's text if the tool fails.
func goCommand(tools string, stdout io.Writer, take func(line string) bool, args ...string) error {
	cmd := exec.Command("go", args...)
	cmd.Dir = tools
	cmd.Stdout = stdout
	// Without cgo no C compiler is needed, and the repository's workspace, if it
	// has one, is not the tools'.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	// The kernel ties the tool's life to the thread that starts it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = builderAttributes()
	pipe, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("go: %w", err)
	}
	var rest []string
	for lines := bufio.NewScanner(pipe); lines.Scan(); {
		if line := lines.Text(); !take(line) {
			rest = append(rest, line)
		}
	}
	if err := cmd.Wait(); err != nil {
		text := strings.Join(rest[max(0, len(rest)-20):], "\n")
		return fmt.Errorf("the local stack could not be built: go %s: %w\n%s", args[0], err, text)
	}
	return nil
}

// newProgress shows a bar on a terminal, and elsewhere a line now and then.
func newProgress(total int, out io.Writer) func(done int) {
	if f, ok := out.(*os.File); ok && isTerminal(f) {
		bar := progressbar.NewOptions(total,
			progressbar.OptionSetWriter(out),
			progressbar.OptionSetDescription("compiling"),
			progressbar.OptionShowCount(),
			progressbar.OptionSetPredictTime(true),
			progressbar.OptionThrottle(100*time.Millisecond))
		return func(done int) { _ = bar.Set(min(done, total)) }
	}
	said := time.Now()
	return func(done int) {
		if time.Since(said) > 10*time.Second || done == total {
			said = time.Now()
			fmt.Fprintf(out, "compiling: %d of %d packages\n", done, total)
		}
	}
}

// isTerminal reports whether f is a terminal, and not a pipe, a file or /dev/null.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && f.Name() != os.DevNull
}
