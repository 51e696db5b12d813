package metricstest

import (
	"os/exec"
	"syscall"
)

// dieWithTest makes the kernel end the process when the test's process dies without cleaning up.
func dieWithTest(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
