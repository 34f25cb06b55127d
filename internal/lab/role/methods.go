//go:build linux

package role

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/oslorpc/oslorpc/internal/lab/history"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// Job has the arguments of the endpoint's methods.
type Job struct {
	ID string `json:"id"`
	// Length is how long to take, for each item if Items is not 0.
	Length time.Duration `json:"length"`
	Items  int           `json:"items"`
	// Quiet makes a result stream end without an error when its ctx ends, as careless methods do.
	Quiet bool `json:"quiet"`
	// Fails makes the method fail.
	Fails bool `json:"fails"`
}

// Answer has the instance that ran a job.
type Answer struct {
	ID       string `json:"id"`
	Instance string `json:"instance"`
	// Item is the number of an item, from 1.
	Item int `json:"item"`
}

var errTold = errors.New("told to fail")

// endpoint returns the untyped methods.
func (h *host) endpoint() oslorpc.Endpoint {
	version := h.Version
	if version == "" {
		version = "1.2"
	}
	return oslorpc.Endpoint{Version: version, Methods: map[string]oslorpc.Method{
		"work":  oslorpc.Func(h.work).Expect(errTold),
		"count": oslorpc.Stream(h.count),
	}}
}

func (h *host) work(ctx context.Context, j Job) (Answer, error) {
	instance := h.ran(ctx, j.ID)
	if err := sleep(ctx, j.Length); err != nil {
		return Answer{}, err
	}
	if j.Fails {
		return Answer{}, errTold
	}
	return Answer{ID: j.ID, Instance: h.disguise(instance)}, nil
}

func (h *host) count(ctx context.Context, j Job) iter.Seq2[Answer, error] {
	return func(yield func(Answer, error) bool) {
		end := &history.Stream{ID: j.ID, Asked: j.Items, Instance: h.ran(ctx, j.ID)}
		defer func() { h.out.Write(history.Record{Stream: end}) }()
		for n := range h.shorten(j.Items) {
			if err := sleep(ctx, j.Length); err != nil {
				if end.Error = err.Error(); !j.Quiet {
					yield(Answer{}, err)
				}
				return
			}
			if !yield(Answer{ID: j.ID, Instance: end.Instance, Item: n + 1}, nil) {
				end.Error = "the caller stopped reading"
				return
			}
			end.Items++
		}
		end.Whole = true
	}
}

// sleep returns early with an error if ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
