package oslorpc

import (
	"context"
	"iter"
	"sync/atomic"

	"github.com/oslorpc/oslorpc/internal/client"
)

// Multicall has one server run a method and yields its results as they come. Of a plain method it
// yields one.
//
// The sequence is lazy: it sends the message when it is first ranged over. It can be used once: a
// second range yields an error and does not run the method again. Breaking out of the range cancels
// the method's context at the server, and a consumer that is slow holds the method back. A failure
// comes after the items that were made before it, with the zero T, and is the last.
//
// [WithTimeout], or [DefaultCallTimeout], bounds each wait for an item. The deadline of ctx bounds
// the whole.
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
