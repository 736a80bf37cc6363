package main

import "syscall"

// childAttributes put a child in a process group of its own, so that Ctrl-C
// reaches only up, and have the kernel kill it when up dies in any way.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
