package wire

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
)

// outlet is a stream, and the owner of its sender.
type outlet struct {
	Sender

	goOn   chan struct{} // each lets one message pass; nil for none to wait
	sent   [][]byte
	blocks bool
	failed error
}

func (o *outlet) Leaves(*Outgoing)         {}
func (o *outlet) Sent(*Outgoing, error)    {}
func (o *outlet) MayBlock() bool           { return o.blocks }
func (o *outlet) Crowded() bool            { return false }
func (o *outlet) SendMsg(m any) error      { return o.pass(m.(*batch)) }
func (o *outlet) push(b []byte, lane Lane) { o.Push(newOutgoing(b), lane) }

func (o *outlet) pass(f *batch) error {
	if o.goOn != nil {
		<-o.goOn
	}
	o.sent = append(o.sent, f.frames...)
	return o.failed
}

func newOutgoing(b []byte) *Outgoing {
	return &Outgoing{Bytes: b}
}

func newOutlet(goOn chan struct{}) *outlet {
	o := &outlet{goOn: goOn}
	o.Lock()
	defer o.Unlock()
	o.Open(o, o.SendMsg)
	return o
}

// Push does not block while the peer does not read. Waiting frames leave in the order of their
// lanes: control frames overtake messages, and messages overtake parts of results.
func TestSenderOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOutlet(make(chan struct{}))
		o.blocks = true
		o.push([]byte("first"), Bulk)
		synctest.Wait()
		for _, f := range []struct {
			text string
			lane Lane
		}{{"part 1", Bulk}, {"message 1", Single}, {"part 2", Bulk}, {"cancel", Control}, {"message 2", Single}} {
			o.push([]byte(f.text), f.lane)
		}
		close(o.goOn)
		synctest.Wait()
		var got []string
		for _, b := range o.sent {
			got = append(got, string(b))
		}
		if want := []string{"first", "cancel", "message 1", "message 2", "part 1", "part 2"}; !slices.Equal(got, want) {
			t.Errorf("sent: %q, want %q", got, want)
		}
	})
}

// Frames are encoded before they are pushed. The sender sends the same bytes without a copy, and
// encodes nothing while others wait.
func TestSenderPassesOn(t *testing.T) {
	t.Parallel()
	o := newOutlet(nil)
	frames := [][]byte{[]byte("a"), []byte("b")}
	for _, f := range frames {
		o.push(f, Single)
	}
	if len(o.sent) != 2 || &o.sent[0][0] != &frames[0][0] || &o.sent[1][0] != &frames[1][0] {
		t.Errorf("sent: %q", o.sent)
	}
}

// A frame that is taken back, or that is still queued at the end, is not sent.
func TestSenderTakesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOutlet(make(chan struct{}))
		o.blocks = true
		o.push([]byte("first"), Single)
		synctest.Wait()
		back, late := newOutgoing([]byte("back")), newOutgoing([]byte("late"))
		o.Push(back, Single)
		o.Push(late, Single)
		o.Lock()
		if !o.TakeBack(back) {
			t.Error("it cannot be taken back")
		}
		if waiting := o.Close(); len(waiting) != 1 || waiting[0] != late {
			t.Errorf("%d frames waited at the end", len(waiting))
		}
		if o.PushLocked(newOutgoing([]byte("after")), Single) {
			t.Error("a closed sender takes frames")
		}
		o.Unlock()
		close(o.goOn)
		synctest.Wait()
		if len(o.sent) != 1 {
			t.Errorf("sent: %q", o.sent)
		}
	})
}

// When a stream breaks, waiting frames are not sent. Frames that are pushed afterwards are not sent
// either, and do not block. Another stream sends the frames that are pushed to it.
func TestSenderOfABrokenStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		o := newOutlet(goOn)
		o.blocks, o.failed = true, errors.New("it broke")
		for range 3 {
			o.push(make([]byte, together), Single)
		}
		goOn <- struct{}{}
		synctest.Wait()
		o.push([]byte("after"), Single)
		o.Lock()
		if waiting := o.Close(); len(o.sent) != 1 || len(waiting) != 3 {
			t.Errorf("%d frames were sent, and %d did not leave", len(o.sent), len(waiting))
		}
		o.goOn, o.blocks, o.failed = nil, false, nil
		o.Open(o, o.SendMsg)
		o.Unlock()
		o.push([]byte("next"), Single)
		if len(o.sent) != 2 {
			t.Errorf("%d frames were sent", len(o.sent))
		}
	})
}
