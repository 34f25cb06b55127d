// The kitchen's thermostat, in Go. It serves the interface at version 1.1, or with --version 1.0 as
// an older release would.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	_ "github.com/oslorpc/oslorpc/pkg/registry/consul" // for consul:// URLs
)

// TooHot refuses a temperature. All programs, in all languages, register it as house.TooHot.
type TooHot struct {
	Limit int `json:"limit"`
}

func (e *TooHot) Error() string {
	return fmt.Sprintf("the kitchen is never set above %d degrees", e.Limit)
}

// Setting has the arguments of set.
type Setting struct {
	Celsius int `json:"celsius"`
}

// Boosting has the arguments of boost.
type Boosting struct {
	Minutes int `json:"minutes"`
}

const limit = 30

// Thermostat is safe for concurrent use: messages run at the same time.
type Thermostat struct {
	mu      sync.Mutex
	celsius int
}

func (t *Thermostat) Temperature(context.Context, oslorpc.NoArgs) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.celsius, nil
}

func (t *Thermostat) Set(_ context.Context, s Setting) error {
	if s.Celsius > limit {
		return &TooHot{Limit: limit}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.celsius = s.Celsius
	return nil
}

// Boost appeared in 1.1.
func (t *Thermostat) Boost(_ context.Context, b Boosting) (string, error) {
	return fmt.Sprintf("the kitchen heats for %d minutes", b.Minutes), nil
}

func main() {
	version := flag.String("version", "1.1", "the version to serve, 1.0 or 1.1")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)                                               // a second signal ends the program at once
	t, err := oslorpc.Open("", oslorpc.WithErrorType[*TooHot]("house.TooHot")) // $OSLORPC_TRANSPORT_URL, or local://
	if err != nil {
		log.Fatal(err)
	}
	methods := oslorpc.Methods(&Thermostat{celsius: 18}).Expect("Set", oslorpc.ErrorType[*TooHot]())
	if *version == "1.0" {
		methods = methods.Omit("Boost")
	}
	s := t.Server(oslorpc.Target{Topic: "house", Server: "kitchen"}, oslorpc.WithStarted(func(oslorpc.Instance) {
		fmt.Printf("the kitchen, in Go, is at %s\n", *version)
	}))
	s.Add(oslorpc.Endpoint{Version: *version, Struct: methods})
	if err := s.Run(ctx); err != nil { // at a signal, it finishes what it accepted
		log.Fatal(err)
	}
}
