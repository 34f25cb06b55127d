package main

import (
	"context"
	"io"
	"slices"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// fromWords reads the arguments of a message. The word "-" stands for the members of a JSON object on standard input, which is
// read only then, and at most once: nothing waits for input that nobody meant to give.
func (p *program) fromWords(ctx context.Context, words []string) (arguments, error) {
	var args arguments
	for i, word := range words {
		more, err := p.fromWord(ctx, word, words[:i])
		if err != nil {
			return nil, err
		}
		for _, a := range more {
			if args, err = args.add(a); err != nil {
				return nil, err
			}
		}
	}
	return args, nil
}

func (p *program) fromWord(ctx context.Context, word string, before []string) (arguments, error) {
	if word != "-" {
		return parseArguments([]string{word})
	}
	if slices.Contains(before, word) {
		return nil, usage("standard input can be read once: write a single -")
	}
	text, err := p.readInput(ctx)
	if err != nil {
		return nil, err
	}
	return parseObject(text)
}

// readInput reads standard input to its end. A read of a terminal cannot be interrupted, so it is left behind when ctx ends.
func (p *program) readInput(ctx context.Context) ([]byte, error) {
	type input struct {
		text []byte
		err  error
	}
	read := make(chan input, 1)
	go func() {
		text, err := io.ReadAll(io.LimitReader(p.in, oslorpc.DefaultMaxMessageSize+1))
		read <- input{text, err}
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case in := <-read:
		if len(in.text) > oslorpc.DefaultMaxMessageSize {
			return nil, &oslorpc.Error{Kind: oslorpc.TooLarge, NotStarted: true, Message: "standard input is longer than a message may be"}
		}
		return in.text, in.err
	}
}
