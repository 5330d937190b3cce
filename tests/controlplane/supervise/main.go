// Command supervise runs one program for exactly as long as its own standard input stays open.
//
// Tests start every component of a control plane through it and hold the writing end of the pipe.
// However the test process ends, SIGKILL included, the kernel closes the pipe and nothing is left behind.
// (PDEATHSIG alone would not do: it is tied to the thread that forked, and test threads come and go.)
//
//	supervise [-remove DIR] [-cgroup NAME] LOG PROGRAM [ARG...]
//
// Output of the program is appended to LOG. The exit code is the program's own, 137 when it was killed.
// With -remove, DIR is deleted once the program has ended because standard input closed; with -cgroup, so are the
// cgroups under NAME, in every hierarchy.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"
)

func init() {
	// The death signal of the child is tied to the thread that starts it: keep that thread for good.
	runtime.LockOSThread()
}

func main() {
	remove := flag.String("remove", "", "directory to delete after standard input has closed")
	cgroup := flag.String("cgroup", "", "cgroup to delete after standard input has closed, with those in it")
	flag.Parse()
	if flag.NArg() < 2 {
		fail(errors.New("usage: supervise [-remove DIR] [-cgroup NAME] LOG PROGRAM [ARG...]"))
	}
	log, err := os.OpenFile(flag.Arg(0), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		fail(err)
	}
	cmd := exec.Command(flag.Arg(1), flag.Args()[2:]...)
	cmd.Stdout, cmd.Stderr = log, log
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(log, "supervise:", err)
		fail(err)
	}

	closed := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(closed)
		killGroup(cmd)
	}()

	_ = cmd.Wait()
	select {
	case <-closed:
		if *cgroup != "" {
			removeCgroups(*cgroup)
		}
		if *remove != "" {
			removeAll(*remove)
		}
	default:
	}
	if code := cmd.ProcessState.ExitCode(); code >= 0 {
		os.Exit(code)
	}
	os.Exit(137)
}

// removeAll deletes dir although other components, which are ending at this moment too, may still write into it.
func removeAll(dir string) {
	for range 50 {
		if err := os.RemoveAll(dir); err == nil {
			// One more look: a component that was not yet dead may have recreated a file.
			time.Sleep(20 * time.Millisecond)
			if _, err := os.Lstat(dir); errors.Is(err, os.ErrNotExist) {
				return
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// removeCgroups deletes the cgroups of that name with those in them, as soon as the last process has left them: those of
// a namespace are dying at this moment, and what the kernel has to do for that can take a while.
func removeCgroups(name string) {
	for range 250 {
		var folders []string
		for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
			tops, _ := filepath.Glob(pattern + name)
			for _, top := range tops {
				_ = filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
					if err == nil && entry.IsDir() {
						folders = append(folders, path)
					}
					return nil
				})
			}
		}
		if len(folders) == 0 {
			return
		}
		// The innermost first.
		for _, folder := range slices.Backward(folders) {
			_ = syscall.Rmdir(folder)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "supervise:", err)
	os.Exit(125)
}
