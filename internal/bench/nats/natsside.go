package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/oslorpc/oslorpc/internal/bench/compare"
)

// The subjects of NATS.
const (
	echoSubject = "bench.echo"
	allSubject  = "bench.all"
)

// openNATS starts a server of NATS, and services of NATS micro with a connection each. One service
// of a queue group answers each call. All services answer fanouts.
func openNATS(_ context.Context, servers int) (*side, error) {
	s := &side{name: "nats"}
	broker, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true})
	if err != nil {
		return s, err
	}
	broker.Start()
	s.closes = append(s.closes, func() error {
		broker.Shutdown()
		broker.WaitForShutdown()
		return nil
	})
	if !broker.ReadyForConnections(10 * time.Second) {
		return s, errors.New("the server of NATS does not start")
	}
	for range servers {
		if err := s.serve(broker.ClientURL()); err != nil {
			return s, err
		}
	}
	conn, err := nats.Connect(broker.ClientURL())
	if err != nil {
		return s, err
	}
	s.closes = append(s.closes, func() error {
		conn.Close()
		return nil
	})
	small := []byte(jsonText(payloadSize))
	s.call = func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, compare.Deadline)
		defer cancel()
		_, err := conn.RequestWithContext(ctx, echoSubject, small)
		return err
	}
	s.fanout = func(context.Context) error { return askAll(conn, small, servers) }
	return s, s.call(context.Background()) //nolint:contextcheck // It has a deadline of its own.
}

// serve starts one service.
func (s *side) serve(url string) error {
	conn, err := nats.Connect(url)
	if err != nil {
		return err
	}
	s.closes = append(s.closes, func() error {
		conn.Close()
		return nil
	})
	service, err := micro.AddService(conn, micro.Config{Name: "bench", Version: "1.0.0"})
	if err != nil {
		return err
	}
	s.closes = append(s.closes, service.Stop)
	if err := service.AddEndpoint("echo", micro.HandlerFunc(func(r micro.Request) { _ = r.Respond(r.Data()) }), micro.WithEndpointSubject(echoSubject)); err != nil {
		return err
	}
	if err := service.AddEndpoint("all", micro.HandlerFunc(func(r micro.Request) { _ = r.Respond(nil) }),
		micro.WithEndpointSubject(allSubject), micro.WithEndpointQueueGroupDisabled()); err != nil {
		return err
	}
	return conn.Flush()
}

// askAll publishes a message and waits for the answers of all servers.
func askAll(conn *nats.Conn, payload []byte, servers int) error {
	inbox := conn.NewRespInbox()
	answers, err := conn.SubscribeSync(inbox)
	if err != nil {
		return err
	}
	defer func() { _ = answers.Unsubscribe() }() // it fails only if the connection does
	if err := conn.PublishRequest(allSubject, inbox, payload); err != nil {
		return err
	}
	for n := range servers {
		if _, err := answers.NextMsg(compare.Deadline); err != nil {
			return fmt.Errorf("answer %d of %d: %w", n, servers, err)
		}
	}
	return nil
}
