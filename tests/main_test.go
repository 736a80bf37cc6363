package tests

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run runs the tests with a folder for what they build.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "longrun-tests-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	build := func(name, source string) func() (string, error) {
		return sync.OnceValues(func() (string, error) {
			path := filepath.Join(dir, name)
			out, err := exec.Command("go", "build", "-o", path, source).CombinedOutput()
			if err != nil {
				return "", fmt.Errorf("go build %s: %w\n%s", name, err, out)
			}
			return path, nil
		})
	}
	buildBank, buildDepot = build("bank", "../app/cmd/bank"), build("depot", "./depot")
	return m.Run()
}

// buildBank builds the sample application, once, and returns where it is;
// buildDepot the one in depot.
var buildBank, buildDepot func() (string, error)
