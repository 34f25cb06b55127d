package consultest

import (
	"os/exec"
	"runtime"
)

// process is one run of an agent.
type process struct {
	node   string
	cmd    *exec.Cmd
	exited chan struct{}
}

// startProcess starts cmd on a thread that lives as long as the process. On systems that kill
// children with their parent, the parent is this thread. A test that is killed therefore leaves no
// agent behind.
func startProcess(node string, cmd *exec.Cmd) (*process, error) {
	cmd.SysProcAttr = dieWithParent()
	p := &process{node: node, cmd: cmd, exited: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		defer close(p.exited)
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // We kill it, so its state does not matter.
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// kill returns when the process is dead.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // It may be dead already.
	<-p.exited
}
