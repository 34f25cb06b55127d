package payload

import (
	"bytes"
	"fmt"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// checkOptions allows duplicate names, because the earlier parse of the same text has refused them.
var checkOptions = jsontext.AllowDuplicateNames(true)

// checkArgs returns an error if an object in a JSON text has an unknown member, or lacks a required
// one, according to the nested structs in the arguments' shape s. It does not check the names of
// the arguments themselves, which UnmarshalArgs does.
func (s *shape) checkArgs(text string) error {
	r := textReaders.Get().(*textReader)
	defer r.putBack()
	dec := r.read(text)
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	for dec.PeekKind() != '}' {
		i, known, err := s.readName(dec)
		if err != nil {
			return err
		}
		in := s.elem
		if s.byName != nil {
			in = slot{}
			if known {
				in = slot{shape: s.members[i].shape, nullable: true}
			}
		}
		if err := in.check(dec); err != nil {
			return err
		}
	}
	return nil
}

// textReader parses a copy of a JSON text. It is reused, since its memory is larger than most
// texts.
type textReader struct {
	copied bytes.Buffer
	dec    jsontext.Decoder
}

var textReaders = sync.Pool{New: func() any { return new(textReader) }}

// maxKept is the size of the largest copy whose memory is reused.
const maxKept = 64 << 10

// read returns a decoder of a text. It is valid until putBack.
func (r *textReader) read(text string) *jsontext.Decoder {
	r.copied.WriteString(text)
	r.dec.Reset(&r.copied, checkOptions)
	return &r.dec
}

func (r *textReader) putBack() {
	if r.copied.Cap() <= maxKept {
		r.copied.Reset()
		textReaders.Put(r)
	}
}

// readName parses the name of a member, and returns its index among the members of the struct.
func (s *shape) readName(dec *jsontext.Decoder) (i int, known bool, err error) {
	text, err := dec.ReadValue()
	if err != nil {
		return 0, false, err
	}
	if bytes.IndexByte(text, '\\') < 0 {
		i, known = s.byName[string(text[1:len(text)-1])] // without an allocation
		return i, known, nil
	}
	name, err := jsontext.AppendUnquote(nil, text)
	i, known = s.byName[string(name)]
	return i, known, err
}

// check parses a value for a slot, and returns an error if the value does not fit there.
func (s slot) check(dec *jsontext.Decoder) error {
	kind := dec.PeekKind()
	switch {
	case s.shape == nil:
		return dec.SkipValue()
	case kind == '{' && s.shape.byName != nil:
		return s.shape.checkObject(dec)
	case kind == '{' || kind == '[':
		return s.shape.checkElements(dec)
	}
	if err := dec.SkipValue(); err != nil {
		return err
	}
	if kind == 'n' && !s.nullable {
		return &problem{path: string(dec.StackPointer()), message: "wanted object, got null"}
	}
	return nil
}

// checkElements checks a list, or a map.
func (s *shape) checkElements(dec *jsontext.Decoder) error {
	opened, err := dec.ReadToken()
	if err != nil {
		return err
	}
	isMap := opened.Kind() == '{'
	for dec.PeekKind() != ']' && dec.PeekKind() != '}' {
		if isMap {
			if err := dec.SkipValue(); err != nil { // the name
				return err
			}
		}
		if err := s.elem.check(dec); err != nil {
			return err
		}
	}
	_, err = dec.ReadToken()
	return err
}

func (s *shape) checkObject(dec *jsontext.Decoder) error {
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	var few [32]bool
	seen := few[:]
	if len(s.members) > len(few) {
		seen = make([]bool, len(s.members))
	}
	for dec.PeekKind() != '}' {
		i, known, err := s.readName(dec)
		switch {
		case err != nil:
		case known:
			seen[i] = true
			err = s.members[i].check(dec)
		case s.open:
			err = dec.SkipValue()
		default:
			err = s.unknown(dec.StackPointer())
		}
		if err != nil {
			return err
		}
	}
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	return s.missing(dec, seen)
}

func (m *memberShape) check(dec *jsontext.Decoder) error {
	if !m.nullable && dec.PeekKind() == 'n' {
		return &problem{path: string(dec.StackPointer()), message: fmt.Sprintf("wanted %s, got null", typeWord(m.typ))}
	}
	return m.slot.check(dec)
}

func (s *shape) unknown(at jsontext.Pointer) error {
	return &problem{path: string(at), message: fmt.Sprintf(
		"there is no member %.64q; the object has %s", at.LastToken(), s.signature())}
}

// missing returns an error if a required member is missing.
func (s *shape) missing(dec *jsontext.Decoder, seen []bool) error {
	var names []string
	for i, m := range s.members {
		if !seen[i] && !m.optional {
			names = append(names, fmt.Sprintf("%q", m.name))
		}
	}
	if len(names) == 0 {
		return nil
	}
	word := "member "
	if len(names) > 1 {
		word = "members "
	}
	return &problem{path: string(dec.StackPointer()), message: "missing " + word + strings.Join(names, ", ") + "; the object has " + s.signature()}
}

// signature lists the members for error texts, such as "a (integer), b (string, optional)".
func (s *shape) signature() string {
	words := make([]string, 0, len(s.members)+1)
	for _, m := range s.members {
		w := m.name + " (" + typeWord(m.typ)
		if m.optional {
			w += ", optional"
		}
		words = append(words, w+")")
	}
	if s.open {
		words = append(words, "any others")
	}
	if len(words) == 0 {
		return "no members"
	}
	return strings.Join(words, ", ")
}
