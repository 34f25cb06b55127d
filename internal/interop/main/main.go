// Command main is `make interop`. It starts a Consul agent, runs every case with every client and
// every server, and prints a table. The exit code is 1 if a cell failed. With the arguments "client
// URL", "server URL TOPIC NAME" or "gateway URL", the command is the corresponding program of Go.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/oslorpc/oslorpc/internal/consultest"
	"github.com/oslorpc/oslorpc/internal/interop"
	"github.com/oslorpc/oslorpc/internal/interop/program"
)

func main() {
	err := do(os.Args[1:])
	if err != nil && !errors.Is(err, errDiffer) {
		fmt.Fprintln(os.Stderr, "interop:", err)
	}
	if err != nil {
		os.Exit(1)
	}
}

// manyClients makes the agent accept the connections of all languages, which share one address
// here. In a fleet, an agent serves only the processes of its own host.
const manyClients = "limits { http_max_conns_per_client = 2000 }"

// errDiffer is returned if a cell failed. The table shows the cause.
var errDiffer = errors.New("the languages differ")

func do(arguments []string) error {
	switch {
	case len(arguments) == 2 && arguments[0] == "client":
		return program.Ask(context.Background(), arguments[1])
	case len(arguments) == 2 && arguments[0] == "gateway":
		return program.Relay(context.Background(), arguments[1])
	case len(arguments) == 4 && arguments[0] == "server":
		return program.Serve(context.Background(), arguments[1], arguments[2], arguments[3])
	default:
		return run()
	}
}

func run() error {
	root := flag.String("root", ".", "the directory of the repository")
	pattern := flag.String("run", "", "run only the cells whose name, such as \"call, py to go\", matches this regular expression")
	local := flag.Bool("local", false, "use local:// in place of Consul")
	flag.Parse()
	only, err := regexp.Compile(*pattern)
	if err != nil {
		return err
	}
	programs, err := find(*root)
	if err != nil {
		return err
	}
	var cells []interop.Cell
	for _, c := range interop.Cells(interop.Languages(programs)) {
		if only.MatchString(c.String()) {
			cells = append(cells, c)
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	h := &host{}
	defer h.clean()
	url := "local://" + h.TempDir()
	if !*local {
		url = consultest.Start(h, manyClients).URL()
	}
	began := time.Now()
	results, err := interop.Run(ctx, url, cells)
	if err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
	}
	if !interop.Print(os.Stdout, results, time.Since(began)) || err != nil {
		return errDiffer
	}
	return nil
}

func find(root string) (interop.Programs, error) {
	self, err := os.Executable()
	if err != nil {
		return interop.Programs{}, err
	}
	if root, err = filepath.Abs(root); err != nil {
		return interop.Programs{}, err
	}
	return interop.Programs{Root: root, Go: self, Python: filepath.Join(root, ".bin", "venv", "bin", "python")}, nil
}
