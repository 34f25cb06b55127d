package rpcstatus

import (
	"slices"
	"strings"
	"unicode/utf8"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	pb "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
)

const (
	// maxStatus is the maximum size of a status with its detail, in bytes. Other gRPC
	// implementations allow 8 KiB of metadata. There, the detail takes four thirds of its size,
	// because of base64, and the text occurs twice.
	maxStatus = 4 << 10
	// maxText is the maximum size of the text of a status in HTTP/2, where it is percent-encoded,
	// in bytes.
	maxText = 1 << 10
	// envelope is the size of a status besides its text and its detail: the code, the name of the
	// detail's type, tags and lengths.
	envelope = 64
)

// trim trims a detail so that its status fits in maxStatus: it removes stack lines first, then the
// message that the remote error repeats, then the data, and then shortens the longest texts and
// lists. It returns the text of the status, trimmed to maxText.
func trim(d *pb.ErrorDetail, text string) string {
	text = trimText(text)
	for _, s := range texts(d) {
		*s = valid(*s)
	}
	budget := maxStatus - envelope - len(text)
	trimStack(d.GetRemote(), proto.Size(d)-budget)
	if r := d.GetRemote(); r != nil && proto.Size(d) > budget {
		d.Message = "" // the remote error has it
	}
	if r := d.GetRemote(); r != nil && proto.Size(d) > budget {
		r.Data = "" // truncated data would not be JSON
	}
	for limit := budget; proto.Size(d) > budget; limit -= limit/16 + 1 {
		shorten(d, limit)
	}
	return text
}

// trimStack removes lines from the end of a stack until excess bytes are gone.
func trimStack(r *pb.RemoteError, excess int) {
	stack := r.GetStack()
	for len(stack) > 0 && excess > 0 {
		last := len(stack) - 1
		excess -= len(stack[last])
		stack = stack[:last]
	}
	if r != nil {
		r.Stack = stack
	}
}

// shorten cuts each text of a detail to limit bytes, and its lists to about the same size.
func shorten(d *pb.ErrorDetail, limit int) {
	const usual = 64 // the usual size of an entry of a list, in bytes
	d.Implemented = first(d.GetImplemented(), limit/usual)
	if r := d.GetRemote(); r != nil {
		r.Hops = first(r.GetHops(), limit/usual)
	}
	for _, s := range texts(d) {
		*s = cut(*s, limit)
	}
}

func first[T any](list []T, n int) []T { return list[:min(len(list), n)] }

// texts returns pointers to all texts of a detail.
func texts(d *pb.ErrorDetail) []*string {
	all := []*string{&d.Message, &d.Method, &d.Path, &d.Server, &d.InstanceId}
	for _, i := range d.GetImplemented() {
		if all = append(all, &i.Version); i.Namespace != nil {
			all = append(all, i.Namespace) //nolint:protogetter // It is a pointer that is wanted.
		}
	}
	if r := d.GetRemote(); r != nil {
		all = append(all, &r.Type, &r.Message, &r.Data)
		for _, list := range [][]string{r.GetStack(), r.GetHops()} {
			for i := range list {
				all = append(all, &list[i])
			}
		}
	}
	return all
}

// valid replaces invalid UTF-8, which protobuf would refuse. The texts may come from errors of
// programs, with any content.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

const ellipsis = "…"

// cut shortens s to at most n bytes without breaking a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	if n < len(ellipsis) {
		return ""
	}
	n -= len(ellipsis)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + ellipsis
}

// trimText trims a text to the maximum for a status.
func trimText(s string) string {
	s = valid(s)
	size, end := 0, 0
	for i, r := range s {
		if size <= maxText-3*len(ellipsis) {
			end = i
		}
		if size += encodedSize(r); size > maxText {
			return s[:end] + ellipsis
		}
	}
	return s
}

// Short returns a status whose text is cut to maxText. Other peers than servers of oslorpc may send
// megabytes, which must not fill the log.
func Short(st *status.Status) *status.Status {
	if len(st.Message()) <= maxText {
		return st
	}
	p := st.Proto()
	p.Message = cut(valid(p.GetMessage()), maxText)
	return status.FromProto(p)
}

// Bound returns a status that other gRPC implementations can receive. If a status exceeds
// maxStatus, Bound trims the text and removes all details that the program added.
func Bound(st *status.Status) *status.Status {
	p := st.Proto()
	if proto.Size(p) <= maxStatus {
		return st
	}
	p.Message = trimText(p.GetMessage())
	p.Details = slices.DeleteFunc(p.GetDetails(), func(d *anypb.Any) bool { return !d.MessageIs((*pb.ErrorDetail)(nil)) })
	return status.FromProto(p)
}

// encodedSize is the size of a percent-encoded character.
func encodedSize(r rune) int {
	if ' ' <= r && r <= '~' && r != '%' {
		return 1
	}
	return 3 * utf8.RuneLen(r)
}
