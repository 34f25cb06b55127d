package httpfront

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/oslorpc/oslorpc/internal/intake"
	"github.com/oslorpc/oslorpc/internal/msgcontext"
	"github.com/oslorpc/oslorpc/internal/payload"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// message is the message of a request.
type message struct {
	intake.Message

	metadata rpc.Metadata
	timeout  time.Duration // 0: the default of the delivery
}

// parameters are the query parameters, each with the function that parses it. Each may be given
// once.
var parameters = map[string]func(m *message, value string) error{
	"exchange":  func(m *message, v string) error { m.Target.Exchange = v; return nil },
	"namespace": func(m *message, v string) error { m.Target.Namespace = v; return nil },
	"server":    func(m *message, v string) error { m.Target.Server = v; return nil },
	"version":   func(m *message, v string) error { m.Target.Version = v; return nil },
	"order_key": func(m *message, v string) error { m.OrderKey = v; return nil },
	"timeout": func(m *message, v string) (err error) {
		m.timeout, err = duration(v)
		return err
	},
}

// duration parses a positive duration.
func duration(v string) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if err != nil {
		if _, plain := strconv.ParseFloat(v, 64); plain == nil {
			return 0, fmt.Errorf("%s needs a unit: write %ss or %sms", v, v, v)
		}
		return 0, errors.New("write a number and a unit, such as 500ms, 5s or 2m")
	}
	if d <= 0 {
		return 0, errors.New("it must be greater than 0")
	}
	return d, nil
}

// headers are the HTTP headers that are passed on as metadata, unchanged.
var headers = []string{"traceparent", "tracestate", "baggage"}

// contextHeader is the header with the request context of a message.
const contextHeader = "Oslorpc-Context"

// read parses a request into a message. On an error, the message has the parts that were parsed.
func (f *front) read(w http.ResponseWriter, r *http.Request) (*message, error) {
	m := &message{metadata: rpc.Metadata{}}
	m.ID, m.Method, m.Caller = rand.Text(), r.PathValue("method"), r.UserAgent()
	m.Target.Topic = r.PathValue("topic")
	if err := m.readQuery(r.URL.RawQuery); err != nil {
		return m, err
	}
	if m.Context = r.Header.Get(contextHeader); m.Context != "" {
		if err := msgcontext.Check(m.Context); err != nil {
			return m, badRequest("the header %s must be the text of a JSON object, such as {\"user\": \"alice\"}", contextHeader)
		}
	}
	for _, name := range headers {
		if values := r.Header.Values(name); len(values) > 0 {
			m.metadata[name] = values
		}
	}
	body, err := f.readBody(w, r)
	if err != nil {
		return m, err
	}
	m.Kwargs, err = kwargs(body)
	return m, err
}

// readQuery reads the parameters of a query.
func (m *message) readQuery(text string) error {
	query, err := url.ParseQuery(text)
	if err != nil {
		return badRequest("the query is malformed: %v", err)
	}
	for name, values := range query {
		read, known := parameters[name]
		switch {
		case !known:
			return badRequest("there is no parameter %q; the parameters are %s, and arguments of the method belong into the body", name, names(parameters))
		case len(values) > 1:
			return badRequest("the parameter %q is given %d times", name, len(values))
		case values[0] == "":
			return badRequest("the parameter %q is empty: leave it out, or give it a value", name)
		}
		if err := read(m, values[0]); err != nil {
			return badRequest("%s=%s: %v", name, values[0], err)
		}
	}
	return nil
}

// contentTypes are the types that a body may have: JSON, and the defaults of clients that were
// given no type. Any type is safe here, because pages of other origins are refused before.
var contentTypes = map[string]bool{
	"": true, "application/json": true, "text/plain": true, "application/x-www-form-urlencoded": true, "application/octet-stream": true,
}

// readBody reads the body of a request.
func (f *front) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil && r.Header.Get("Content-Type") != "" || !contentTypes[kind] {
		return nil, &mistake{status: http.StatusUnsupportedMediaType, title: "unsupported media type",
			detail: fmt.Sprintf("the body is JSON; its type is application/json, not %q", r.Header.Get("Content-Type"))}
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return nil, &mistake{status: http.StatusUnsupportedMediaType, title: "unsupported content encoding",
			detail: fmt.Sprintf("the body must not be compressed, and its encoding is %q", encoding), header: http.Header{"Accept-Encoding": {"identity"}}}
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(f.WriteTimeout)) // it fails only in tests
	defer func() { _ = control.SetReadDeadline(time.Time{}) }()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, f.MaxBody))
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, &rpc.Error{Kind: rpc.TooLarge, NotStarted: true, Message: fmt.Sprintf(
			"the body has more than %d bytes, and the gateway takes no more: send less at a time", tooLarge.Limit)}
	}
	if err != nil {
		return nil, badRequest("the body did not arrive: %v", err)
	}
	return body, nil
}

// kwargs checks that a body is one JSON object, and returns its text.
func kwargs(body []byte) (string, error) {
	if len(body) == 0 {
		return "{}", nil
	}
	if !utf8.Valid(body) {
		return "", badArguments("the body is not UTF-8")
	}
	var arguments map[string]payload.Raw
	if err := payload.Unmarshal(string(body), &arguments, rpc.BadArguments); err != nil {
		if e, ok := errors.AsType[*rpc.Error](err); ok {
			e.NotStarted = true
			e.Message = "the body must be a JSON object of keyword arguments: " + e.Message
		}
		return "", err
	}
	if arguments == nil { // null
		return "", badArguments("the body must be a JSON object of keyword arguments, such as {\"name\": \"a\"}, and is null")
	}
	return string(body), nil
}

func badArguments(text string) error {
	return &rpc.Error{Kind: rpc.BadArguments, NotStarted: true, Message: text}
}

func badRequest(format string, args ...any) error {
	return &mistake{status: http.StatusBadRequest, title: "bad request", detail: fmt.Sprintf(format, args...)}
}
