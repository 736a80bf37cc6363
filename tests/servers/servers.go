// Package servers starts what tests and benchmarks run against: the local Dapr
// stack, PostgreSQL and Redis, each with free ports and a folder of its own.
//
// Nothing outlives its user. Stop ends a server by its process id and removes
// its folder; if the user dies first, the kernel ends the server.
package servers

import (
	"errors"
	"fmt"
	"net"
	"os"
	"testing"
)

// MissingError says that something is not installed on this machine.
type MissingError struct{ What string }

func (e *MissingError) Error() string { return e.What + " is not installed" }

// Server is anything that was started here.
type Server interface {
	// Stop ends the server and removes its folder. It waits for both.
	Stop() error
}

// ForTest is for the two results of a Start function: it stops the server when
// the test ends. Where the server is not installed the test is skipped, but on
// CI (environment CI=true) it fails.
func ForTest[S Server](t testing.TB) func(server S, err error) S {
	return func(server S, err error) S {
		t.Helper()
		var missing *MissingError
		switch {
		case errors.As(err, &missing) && os.Getenv("CI") != "true":
			t.Skipf("%s; what needs it did not run", missing)
		case err != nil:
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := server.Stop(); err != nil {
				t.Error(err)
			}
		})
		return server
	}
}

// freeAddr is a loopback address that nothing listens on.
func freeAddr() (addr string, port int, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", 0, fmt.Errorf("free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), l.Addr().(*net.TCPAddr).Port, nil
}
