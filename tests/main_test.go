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
	buildBank = sync.OnceValues(func() (string, error) {
		path := filepath.Join(dir, "bank")
		out, err := exec.Command("go", "build", "-o", path, "../app/cmd/bank").CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("go build bank: %w\n%s", err, out)
		}
		return path, nil
	})
	return m.Run()
}

// buildBank builds the sample application, once, and returns where it is.
var buildBank func() (string, error)
