package main

import "syscall"

// childAttributes put a child in a process group of its own, so that Ctrl-C
// reaches only up, and have the kernel kill it when up dies in any way.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// builderAttributes have the kernel stop the go tool when up dies, which removes
// its temporary files. It stays in our process group, so Ctrl-C reaches it too.
func builderAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
}
