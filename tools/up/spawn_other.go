//go:build unix && !linux

package main

import "syscall"

// childAttributes put a child in a process group of its own, so that Ctrl-C
// reaches only up. Only Linux can tie its life to ours.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// builderAttributes leave the go tool in our process group, so that Ctrl-C
// reaches it.
func builderAttributes() *syscall.SysProcAttr { return nil }
