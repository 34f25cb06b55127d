package identity

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
)

// Server is the server that a client wants to reach.
type Server struct{ Exchange, Topic, Name string }

// Template is the name that the certificate of each server must have. It is immutable.
type Template struct {
	text string
	dns  bool
	// parts are the segments of a path, or the labels of a DNS name, each with its separator.
	parts []part
}

// part is a segment or a label: a value between fixed texts.
type part struct {
	before, after string
	field         func(s *Server) string // nil for fixed text, which is before
	name          string
}

var fields = map[string]func(s *Server) string{
	"{exchange}": func(s *Server) string { return s.Exchange },
	"{topic}":    func(s *Server) string { return s.Topic },
	"{server}":   func(s *Server) string { return s.Name },
}

const (
	spiffeScheme = "spiffe://"
	dnsScheme    = "dns:"
)

// ParseTemplate parses a template. It fails if two servers could get the same name, unless the
// template leaves out the exchange, the topic or the server altogether.
func ParseTemplate(text string) (*Template, error) {
	t := &Template{text: text}
	scheme, separator := spiffeScheme, "/"
	if strings.HasPrefix(text, dnsScheme) {
		scheme, separator, t.dns = dnsScheme, ".", true
	}
	rest, ok := strings.CutPrefix(text, scheme)
	if !ok {
		return nil, t.wrong("it must begin with spiffe:// or dns:")
	}
	segments := strings.Split(rest, separator)
	for i, segment := range segments {
		p, err := t.parsePart(segment)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			p.before = scheme + p.before
		} else {
			p.before = separator + p.before
		}
		t.parts = append(t.parts, p)
	}
	return t, t.checkFields()
}

// checkFields returns an error if the placeholders are wrong.
func (t *Template) checkFields() error {
	used := map[string]bool{}
	for _, p := range t.parts {
		if p.field != nil && used[p.name] {
			return t.wrong("it has %s twice", p.name)
		}
		used[p.name] = true
	}
	switch {
	case t.dns:
	case len(t.parts) < 2:
		return t.wrong("it has no path")
	case t.parts[0].field != nil:
		return t.wrong("the trust domain must be fixed")
	}
	if !used["{server}"] && !used["{topic}"] {
		return t.wrong("it must have {server} or {topic}, or every server would have the same name")
	}
	return nil
}

// String returns the template as it was written.
func (t *Template) String() string { return t.text }

func (t *Template) wrong(format string, args ...any) error {
	return fmt.Errorf("identity template %q: "+format+"; write it as spiffe://DOMAIN/exchange/{exchange}/topic/{topic}/server/{server} "+
		"or dns:{server}.{topic}.example", append([]any{t.text}, args...)...)
}

// parsePart parses a segment. It may have only one placeholder, since the boundary between two
// values would be unclear.
func (t *Template) parsePart(segment string) (part, error) {
	before, rest, open := strings.Cut(segment, "{")
	p := part{before: before}
	if open {
		var closed bool
		rest, p.after, closed = strings.Cut(rest, "}")
		p.name = "{" + rest + "}"
		if p.field = fields[p.name]; !closed || p.field == nil {
			return p, t.wrong("it has %q; the placeholders are {exchange}, {topic} and {server}", segment)
		}
	}
	fixed := p.before + p.after
	switch {
	case segment == "" || segment == "." || segment == "..":
		return p, t.wrong("a segment is %q", segment)
	case strings.ContainsAny(fixed, "{}"):
		return p, t.wrong("%q has more than one placeholder, and the values could not be told apart", segment)
	case strings.IndexFunc(fixed, t.unsafe) >= 0:
		return p, t.wrong("%q has characters other than letters, digits and %s", segment, t.safeSigns())
	}
	return p, nil
}

func (t *Template) safeSigns() string {
	if t.dns {
		return "-, and no capitals"
	}
	return ". _ -"
}

// unsafe reports whether a character must be escaped in a segment or a label.
func (t *Template) unsafe(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', '0' <= r && r <= '9', r == '-':
		return false
	case 'A' <= r && r <= 'Z', r == '.', r == '_':
		return t.dns
	default:
		return true
	}
}

// Name returns the name that the certificate of a server must have. It fails if a value is not
// known, or cannot be written in this kind of name. Different servers get different names, unless
// they differ only in parts that the template leaves out.
func (t *Template) Name(s *Server) (string, error) {
	var b strings.Builder
	for i := range t.parts {
		p := &t.parts[i]
		b.WriteString(p.before)
		if p.field == nil {
			continue
		}
		value := p.field(s)
		if value == "" {
			return "", fmt.Errorf("the identity template %s needs the %s, which is not known of this address", t.text, strings.Trim(p.name, "{}"))
		}
		if err := t.write(&b, p, value); err != nil {
			return "", err
		}
		b.WriteString(p.after)
	}
	if name := b.String(); !t.dns || len(name) <= maxDNS+len(dnsScheme) {
		return name, nil
	}
	return "", fmt.Errorf("%s is longer than a DNS name can be", b.String())
}

const (
	maxDNS   = 253
	maxLabel = 63
)

// write appends a value so that no part of it can be mistaken for another segment.
func (t *Template) write(b *strings.Builder, p *part, value string) error {
	if t.dns {
		label := strings.TrimPrefix(strings.TrimPrefix(p.before, dnsScheme), ".") + value + p.after
		if strings.IndexFunc(value, t.unsafe) >= 0 || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' {
			return fmt.Errorf("the %s %q cannot be a label of a DNS name: use an identity template that begins with spiffe://, "+
				"or names of lower-case letters, digits and -", strings.Trim(p.name, "{}"), value)
		}
		b.WriteString(value)
		return nil
	}
	dots := strings.Trim(p.before+value+p.after, "./") == "" // such a segment would mean another one
	for i := range len(value) {
		if c := value[i]; t.unsafe(rune(c)) || c >= 0x80 || dots && c == '.' {
			fmt.Fprintf(b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return nil
}

// Check returns an error unless a certificate has the name of a server. The error has both names.
func (t *Template) Check(s *Server, c *x509.Certificate) error {
	want, err := t.Name(s)
	if err != nil {
		return err
	}
	if c == nil {
		return fmt.Errorf("must prove %s; it proved nothing", want)
	}
	for _, name := range namesOf(c) {
		if name == want || t.dns && strings.ToLower(name) == want {
			return nil
		}
	}
	return errors.New("must prove " + want + "; it proved " + proved(c))
}

// proved lists the first names in a certificate.
func proved(c *x509.Certificate) string {
	const few = 4
	names := namesOf(c)
	switch {
	case len(names) == 0:
		return "no name"
	case len(names) > few:
		names = append(names[:few], fmt.Sprintf("%d more names", len(names)-few))
	}
	return strings.Join(names, ", ")
}
