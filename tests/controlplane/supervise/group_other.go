//go:build unix && !linux

package main

import (
	"os/exec"
	"syscall"
)

// ownGroup gives the program a process group. There is no death signal outside Linux.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}

// killGroup ends the program and whatever it started.
func killGroup(cmd *exec.Cmd) {
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
}
