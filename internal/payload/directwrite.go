package payload

import (
	"math"
	"reflect"
	"strconv"
	"sync"
	"unicode/utf8"
)

// buffers has buffers for writeDirect. Buffers of more than maxKept bytes are not reused.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// writeDirect returns a value as JSON text. It returns false if the library must write the value,
// for example because it is large.
func writeDirect(v reflect.Value) (string, bool) {
	d := directOf(v.Type())
	if d == nil || d.kind == reflect.String && v.Len() > maxKept {
		return "", false
	}
	buffer := buffers.Get().(*[]byte)
	b, ok := d.write((*buffer)[:0], v)
	written := ""
	if ok {
		written = string(b)
	}
	if cap(b) <= maxKept {
		*buffer = b
		buffers.Put(buffer)
	}
	return written, ok
}

// write appends a value.
func (d *direct) write(b []byte, v reflect.Value) ([]byte, bool) {
	switch d.kind {
	case reflect.String:
		return appendText(b, v.String())
	case reflect.Bool:
		return strconv.AppendBool(b, v.Bool()), true
	case reflect.Float64:
		return appendFloat(b, v.Float())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.AppendInt(b, v.Int(), 10), true
	case reflect.Pointer:
		if v.IsNil() {
			return append(b, "null"...), true
		}
		return d.elem.write(b, v.Elem())
	case reflect.Slice:
		return d.writeSlice(b, v)
	case reflect.Struct:
		return d.writeStruct(b, v)
	default:
		return strconv.AppendUint(b, v.Uint(), 10), true
	}
}

func (d *direct) writeStruct(b []byte, v reflect.Value) (_ []byte, ok bool) {
	b = append(b, '{')
	for i := range d.members {
		m := &d.members[i]
		if i > 0 {
			b = append(b, ',')
		}
		if b, ok = m.of.write(append(b, m.quote...), v.Field(m.index)); !ok || len(b) > maxKept {
			return b, false
		}
	}
	return append(b, '}'), true
}

func (d *direct) writeSlice(b []byte, v reflect.Value) (_ []byte, ok bool) {
	b = append(b, '[')
	for i := range v.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		if b, ok = d.elem.write(b, v.Index(i)); !ok || len(b) > maxKept {
			return b, false
		}
	}
	return append(b, ']'), true
}

// appendText appends a quoted string. It returns false for a string that needs escapes or is not
// UTF-8.
func appendText(b []byte, s string) ([]byte, bool) {
	ascii, ok := isPlainText(s)
	if !ok || !ascii && !utf8.ValidString(s) {
		return b, false
	}
	b = append(append(b, '"'), s...)
	return append(b, '"'), true
}

// isPlainText reports whether a string is ASCII, and whether its ASCII bytes need no escapes.
func isPlainText(s string) (ascii, ok bool) {
	high := byte(0)
	for i := range len(s) {
		c := s[i]
		if c < ' ' || c == '"' || c == '\\' || c == 0x7f {
			return false, false
		}
		high |= c
	}
	return high < utf8.RuneSelf, true
}

// appendFloat appends a number in the format of the library and writeFloat. It returns false for a
// number that needs an exponent.
func appendFloat(b []byte, f float64) ([]byte, bool) {
	switch size := math.Abs(f); {
	case isIntegral(f):
		return strconv.AppendFloat(b, f, 'f', 1, 64), true
	case size >= 1e-6 && size < 1e21:
		return strconv.AppendFloat(b, f, 'f', -1, 64), true
	default:
		return b, false
	}
}
