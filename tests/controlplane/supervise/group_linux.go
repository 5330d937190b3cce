package main

import (
	"os/exec"
	"syscall"
)

// ownGroup gives the program a process group, and a kill from the kernel should supervise itself be killed.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// killGroup ends the program and whatever it started. Nothing in a test's control plane is worth a graceful end.
func killGroup(cmd *exec.Cmd) {
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
}
