package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// needFree is what a data folder must have left, in bytes: below it the store and
// the scheduler fail in ways that are hard to read.
const needFree = 64 << 20

// explain turns the faults that a user can do something about into a line that
// says what.
func explain(err error) string {
	if errors.Is(err, syscall.ENOSPC) || strings.Contains(err.Error(), syscall.ENOSPC.Error()) {
		return "the disk is full; free some space and start again (" + firstLine(err.Error()) + ")"
	}
	return err.Error()
}

func firstLine(s string) string {
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); strings.Contains(line, syscall.ENOSPC.Error()) {
			return line
		}
	}
	return strings.TrimSpace(s)
}

// lockData makes the data folder and keeps other runs out of it until the
// function it returns is called.
func lockData(dir string) (func(), error) {
	if err := os.MkdirAll(filepath.Join(dir, "logs"), 0o755); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err == nil && disk.Bavail*uint64(disk.Bsize) < needFree {
		return nil, fmt.Errorf("data folder %s: %w", dir, syscall.ENOSPC)
	}
	name := filepath.Join(dir, "up.lock")
	file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		return nil, fmt.Errorf("data folder %s is in use by another run; stop that one or choose another folder with --data", dir)
	}
	return func() { file.Close() }, nil
}

// tail returns the last lines of a log.
func tail(path string, lines int) string {
	data, err := os.ReadFile(path)
	if err != nil || len(data) == 0 {
		return ""
	}
	all := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
