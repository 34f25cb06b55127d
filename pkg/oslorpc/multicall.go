package oslorpc

import (
	"context"
	"iter"
	"sync/atomic"

	"github.com/oslorpc/oslorpc/internal/client"
)

// Multicall runs a method on one server and yields its results as they arrive. A method that does
// not stream yields one result.
//
// The sequence is lazy: the message is sent when the range begins. It can be used once: a second
// range yields an error and does not run the method again. Breaking out of the range cancels the
// method's context at the server. A slow consumer slows the method down. A failure is yielded last,
// with the zero T, after the items that the method yielded before it.
//
// [WithTimeout], or [DefaultCallTimeout], bounds each wait for an item. The deadline of ctx bounds
// the whole sequence.
func Multicall[T any](ctx context.Context, c *Client, method string, args any) iter.Seq2[T, error] {
	var used atomic.Bool
	return func(yield func(T, error) bool) {
		var zero T
		if used.Swap(true) {
			yield(zero, c.engine.UsedTwice(method, "a multicall"))
			return
		}
		err := c.engine.Multicall(ctx, method, arguments(args), func(read client.Read) (more bool, err error) {
			var item T
			if err := read(&item); err != nil {
				return false, err
			}
			return yield(item, nil), nil
		})
		if err != nil {
			yield(zero, err)
		}
	}
}
