package send

import (
	"context"
	"io"
	"slices"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// fromWords parses the arguments of a message. The word "-" stands for the members of a JSON object
// on standard input. Standard input is read only for this word, and only once: other commands must
// not wait for input.
func fromWords(ctx context.Context, in io.Reader, words []string) (arguments, error) {
	var args arguments
	for i, word := range words {
		more, err := fromWord(ctx, in, word, words[:i])
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

func fromWord(ctx context.Context, in io.Reader, word string, before []string) (arguments, error) {
	if word != "-" {
		return parseArguments([]string{word})
	}
	if slices.Contains(before, word) {
		return nil, cli.Usage("standard input can be read once: write a single -")
	}
	text, err := readInput(ctx, in)
	if err != nil {
		return nil, err
	}
	return parseObject(text)
}

// readInput reads standard input to its end. A read from a terminal cannot be interrupted, so it
// continues in the background when ctx ends.
func readInput(ctx context.Context, in io.Reader) ([]byte, error) {
	type input struct {
		text []byte
		err  error
	}
	read, largest := make(chan input, 1), rpc.Limits{}.WithDefaults().MessageSize
	go func() {
		text, err := io.ReadAll(io.LimitReader(in, int64(largest)+1))
		read <- input{text, err}
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case in := <-read:
		if len(in.text) > largest {
			return nil, &oslorpc.Error{
				Kind: oslorpc.TooLarge, NotStarted: true, Message: "standard input is longer than a message may be",
			}
		}
		return in.text, in.err
	}
}
