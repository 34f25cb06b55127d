package payload

import (
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// readDirect parses a text into a zero value. If it returns false, the library must parse the text,
// and the value is zero again.
func readDirect(s string, v reflect.Value) bool {
	d := directOf(v.Type())
	if d == nil || !v.IsZero() {
		return false
	}
	r := directReader{text: s, spare: len(s)}
	if r.read(d, v) && r.space() == len(s) {
		return true
	}
	v.SetZero()
	return false
}

// directReader parses a text. Its methods return false for cases that they leave to the library.
type directReader struct {
	text string
	at   int
	// spare is how many bytes may still be allocated for slices before their elements are parsed.
	spare int
}

// space skips white space, and returns the current position.
func (r *directReader) space() int {
	for r.at < len(r.text) {
		switch r.text[r.at] {
		case ' ', '\t', '\r', '\n':
			r.at++
		default:
			return r.at
		}
	}
	return r.at
}

// next skips white space and the byte c. It returns false if another byte follows.
func (r *directReader) next(c byte) bool {
	if at := r.space(); at == len(r.text) || r.text[at] != c {
		return false
	}
	r.at++
	return true
}

// word skips white space and the word w. It returns false if another text follows.
func (r *directReader) word(w string) bool {
	if !strings.HasPrefix(r.text[r.space():], w) {
		return false
	}
	r.at += len(w)
	return true
}

func (r *directReader) read(d *direct, v reflect.Value) bool {
	switch d.kind {
	case reflect.String:
		s, ok := r.string()
		if ok {
			v.SetString(strings.Clone(s)) // otherwise a short string could keep a large message in memory
		}
		return ok
	case reflect.Bool:
		is := r.word("true")
		v.SetBool(is)
		return is || r.word("false")
	case reflect.Float64:
		f, err := strconv.ParseFloat(r.number("-.0123456789"), 64)
		v.SetFloat(f)
		return err == nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(r.number("-0123456789"), 10, v.Type().Bits())
		v.SetInt(n)
		return err == nil
	case reflect.Pointer:
		if r.word("null") {
			return true
		}
		to := reflect.New(v.Type().Elem())
		v.Set(to)
		return r.read(d.elem, to.Elem())
	case reflect.Slice:
		return r.word("null") || r.slice(d, v)
	case reflect.Struct:
		return r.object(d, v)
	default:
		n, err := strconv.ParseUint(r.number("0123456789"), 10, v.Type().Bits())
		v.SetUint(n)
		return err == nil
	}
}

// string parses a string without escapes. The result shares memory with the text.
func (r *directReader) string() (string, bool) {
	if !r.next('"') {
		return "", false
	}
	length := strings.IndexByte(r.text[r.at:], '"')
	if length < 0 {
		return "", false
	}
	s := r.text[r.at : r.at+length]
	r.at += length + 1
	ascii, ok := isPlainText(s)
	return s, ok && (ascii || utf8.ValidString(s))
}

// number returns the next number of the text. It returns an empty string if the number has bytes
// other than the given ones, such as an exponent, or more digits than a float64 holds exactly.
func (r *directReader) number(of string) string {
	const exact = 15
	from := r.space()
	for r.at < len(r.text) && strings.IndexByte(of, r.text[r.at]) >= 0 {
		r.at++
	}
	s := r.text[from:r.at]
	digits := strings.TrimPrefix(s, "-")
	switch {
	case digits == "", len(digits) > exact, digits[0] == '.', digits[len(digits)-1] == '.', len(digits) > 1 && digits[0] == '0' && digits[1] != '.':
		return ""
	case r.at < len(r.text) && strings.IndexByte(",}] \t\r\n", r.text[r.at]) < 0:
		return ""
	case s[0] == '-' && strings.Trim(digits, "0.") == "": // a negative zero
		return ""
	default:
		return s
	}
}

// slice parses an array.
func (r *directReader) slice(d *direct, v reflect.Value) bool {
	if !r.next('[') {
		return false
	}
	if r.next(']') {
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		return true
	}
	if n, size := int(d.usual.Load()), int(v.Type().Elem().Size()); n > 0 && n*size <= r.spare {
		r.spare -= n * size
		v.Set(reflect.MakeSlice(v.Type(), 0, n))
	}
	for n := 0; ; n++ {
		if n == v.Cap() {
			v.Grow(1)
		}
		v.SetLen(n + 1)
		switch {
		case !r.read(d.elem, v.Index(n)):
			return false
		case r.next(','):
		case r.next(']'):
			d.usual.Store(int32(min(n+1, maxUsual)))
			return true
		default:
			return false
		}
	}
}

// maxUsual bounds the number of elements for which a slice gets memory in advance.
const maxUsual = 16

// object parses an object that has each member of the struct exactly once. It is fastest if they
// are in the order of the fields.
func (r *directReader) object(d *direct, v reflect.Value) bool {
	if !r.next('{') {
		return false
	}
	seen := uint64(0)
	for n := range d.members {
		if n > 0 && !r.next(',') {
			return false
		}
		name, ok := r.string()
		if !ok || !r.next(':') {
			return false
		}
		i := n // usually, the members are in the order of the fields
		if d.members[i].name != name {
			if i, ok = d.byName[name]; !ok {
				return false
			}
		}
		if seen&(1<<i) != 0 || !r.read(d.members[i].of, v.Field(d.members[i].index)) {
			return false
		}
		seen |= 1 << i
	}
	return r.next('}')
}
