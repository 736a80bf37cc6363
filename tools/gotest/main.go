// Command gotest runs go test and says at the end, in a few lines, what failed
// and what could not be run: a skipped test is one that proved nothing.
//
//	gotest [-C dir] [go test flags] packages...
//
// It adds the race detector where there is a C compiler, which that needs. On CI
// (environment CI=true) a missing one is an error.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
)

func main() {
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "gotest:", err)
	}
	os.Exit(code)
}

func run(args []string) (int, error) {
	var goArgs []string
	if len(args) > 1 && args[0] == "-C" {
		goArgs, args = args[:2:2], args[2:]
	}
	goArgs = append(goArgs, "test", "-json")
	env := os.Environ()
	switch race, err := canRace(); {
	case err != nil:
		return 1, err
	case race:
		goArgs = append(goArgs, "-race")
		env = append(env, "CGO_ENABLED=1")
	case os.Getenv("CI") == "true":
		return 1, errors.New("the race detector needs a C compiler; install gcc")
	default:
		fmt.Println("no C compiler: without the race detector")
	}
	cmd := exec.Command("go", append(goArgs, args...)...)
	cmd.Env = env
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 1, err
	}
	// Ctrl-C reaches go test as well, and its end is ours. (Ignoring it would
	// have go test ignore it too.)
	signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	if err := cmd.Start(); err != nil {
		return 1, fmt.Errorf("go: %w", err)
	}
	r := newReport(os.Stdout)
	readErr := r.read(out)
	err = cmd.Wait()
	r.sum()
	var ended *exec.ExitError
	switch {
	case errors.As(err, &ended):
		return max(1, ended.ExitCode()), nil
	case err != nil:
		return 1, err
	case readErr != nil:
		return 1, readErr
	}
	return 0, nil
}

// canRace says whether the race detector can be linked here.
func canRace() (bool, error) {
	out, err := exec.Command("go", "env", "CC").Output()
	if err != nil {
		return false, fmt.Errorf("go env: %w", err)
	}
	cc := strings.Fields(string(out))
	if len(cc) == 0 {
		return false, nil
	}
	_, err = exec.LookPath(cc[0])
	return err == nil, nil
}
