package wire

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
)

// line is a stream, and the owner of the frames that are sent on it.
type line struct {
	Sender

	messages [][]byte
	sent     []string
	during   func() // SendMsg
	crowded  bool
	blocked  bool
}

func newLine() *line {
	l := &line{}
	l.Lock()
	defer l.Unlock()
	l.Open(l, func(m any) error {
		b, err := proto.Marshal(m.(proto.Message))
		l.messages = append(l.messages, b)
		if l.during != nil {
			l.during()
		}
		return err
	})
	return l
}

func (l *line) Leaves(*Outgoing)            {}
func (l *line) Sent(o *Outgoing, err error) { l.sent = append(l.sent, fmt.Sprint(o.Of, err)) }
func (l *line) MayBlock() bool              { return l.blocked }
func (l *line) Crowded() bool               { return l.crowded }

// push queues a result.
func (l *line) push(seq uint64, size int, lane Lane) *Outgoing {
	r := &SessionResult{Seq: seq, Outcome: Returned, Text: strings.Repeat("1", size)}
	b, _ := r.Append(nil, nil)
	o := &Outgoing{Bytes: b, Of: seq}
	l.Lock()
	defer l.Unlock()
	l.PushLocked(o, lane)
	return o
}

// seqs returns the results in a message, decoded in both ways.
func seqs(t *testing.T, b []byte) (list []uint64) {
	t.Helper()
	var came []*SessionResponse
	frames := &Frames{Next: func() Decoder {
		came = append(came, &SessionResponse{})
		return came[len(came)-1]
	}}
	var generated pb.SessionResponse
	if err := errors.Join(proto.Unmarshal(b, frames), proto.Unmarshal(b, &generated)); err != nil {
		t.Fatal(err)
	}
	all := append([]*pb.SessionResponse{&generated}, generated.GetMore()...)
	for i, r := range came {
		list = append(list, r.Result.Seq)
		if all[i].GetResult().GetSeq() != r.Result.Seq || r.Other != nil {
			t.Errorf("frame %d is %v, and %+v", i, all[i], r)
		}
	}
	if len(all) != len(came) {
		t.Errorf("there are %d and %d frames", len(came), len(all))
	}
	return list
}

// Frames that wait at the same time share a message as far as they fit, control frames first.
func TestFramesTravelTogether(t *testing.T) {
	l := newLine()
	l.push(1, 10, Single)
	l.push(2, 10, Bulk)
	l.push(3, 10, Control)
	gone := l.push(4, 10, Single)
	l.Lock()
	l.TakeBack(gone)
	l.Unlock()
	l.push(5, together, Single) // alone
	l.push(6, together/2, Single)
	l.push(7, together/3, Single)
	l.push(8, 10, Bulk).Alone = true
	l.push(9, 10, Bulk)
	l.Drain()
	var got [][]uint64
	for _, b := range l.messages {
		got = append(got, seqs(t, b))
	}
	if want := [][]uint64{{3, 1}, {5}, {6, 7, 2}, {8}, {9}}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the messages are %v, want %v", got, want)
	}
	if want := "[3<nil> 1<nil> 5<nil> 6<nil> 7<nil> 2<nil> 8<nil> 9<nil>]"; strings.ReplaceAll(fmt.Sprint(l.sent), " <nil>", "<nil>") != want {
		t.Errorf("the owner was told of %v, want %v", l.sent, want)
	}
	if !l.IsQuiet() || !gone.Waits() && gone.Left() {
		t.Error("the sender is not quiet")
	}
	if slices.ContainsFunc(l.leaving[:cap(l.leaving)], func(o *Outgoing) bool { return o != nil }) || len(l.batch.frames) > 0 {
		t.Error("the sender still holds frames that were sent")
	}
}

// Frames that are pushed while others are sent leave next, without a goroutine for each.
func TestFramesThatComeMeanwhile(t *testing.T) {
	l := newLine()
	pushed := uint64(1)
	l.during = func() {
		if pushed < 6 {
			l.push(pushed+1, 10, Single)
			l.push(pushed+2, 10, Single)
			pushed += 2
			l.Drain() // another one sends
		}
	}
	l.push(1, 10, Single)
	l.crowded = true
	l.Drain()
	if len(l.messages) != 4 || len(seqs(t, l.messages[3])) != 2 {
		t.Errorf("they were sent in %d messages", len(l.messages))
	}
}

func TestMalformedFrames(t *testing.T) {
	frame, _ := sessionResults()["accepted"].Append(nil, nil)
	more := func(b []byte) []byte { return append(appendHead(nil, frameMore, len(b)), b...) }
	for name, b := range map[string][]byte{
		"garbage":         {0xff},
		"two first ones":  append(slices.Clone(frame), frame...),
		"more in more":    more(append(slices.Clone(frame), more(frame)...)),
		"malformed":       append(slices.Clone(frame), more(appendHead(nil, frameResult, 0))...),
		"too long":        make([]byte, MaxFrame+1),
		"too many":        bytes.Repeat(more(nil), maxFrames+1),
		"more than a one": append(append(slices.Clone(frame), 8, 1), more([]byte{0xff})...),
	} {
		if err := proto.Unmarshal(b, &Frames{Next: func() Decoder { return &SessionResponse{} }}); err == nil {
			t.Errorf("%s: there is no error", name)
		}
	}
	n := 0
	next := func() Decoder {
		n++
		return &SessionResponse{}
	}
	unknown := append(protowire.AppendTag(slices.Clone(frame), 100, protowire.BytesType), 0)
	unknown = append(unknown, 14<<3, 1) // a number
	if err := proto.Unmarshal(append(unknown, more(frame)...), &Frames{Next: next}); err != nil || n != 2 {
		t.Errorf("a message with unknown fields has %d frames, %v", n, err)
	}
}

func FuzzFrames(f *testing.F) {
	l := newLine()
	l.push(1, 10, Single)
	l.push(2, 10, Single)
	l.Drain()
	f.Add(l.messages[0])
	f.Fuzz(func(t *testing.T, b []byte) {
		var requests, responses int
		_ = proto.Unmarshal(b, &Frames{Next: func() Decoder { requests++; return &SessionRequest{} }})
		_ = proto.Unmarshal(b, &Frames{Next: func() Decoder { responses++; return &SessionResponse{} }})
		if n := max(requests, responses); n > len(b) {
			t.Errorf("%d bytes are %d frames", len(b), n)
		}
	})
}
