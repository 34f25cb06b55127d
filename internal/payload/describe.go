package payload

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// maxLong bounds the path and the type name in an error.
const maxLong = 256

// problem is an error that code of this package returns to the JSON library, which wraps it.
// Describe finds it again.
type problem struct {
	path, message string
	bare          bool // the message names the place already
}

func (p *problem) Error() string { return p.message }

// describe converts an error of the JSON library, or a problem, to an rpc.Error.
func describe(err error, kind rpc.Kind, explain func(*json.SemanticError) string) error {
	e := &rpc.Error{Kind: kind, Message: err.Error(), Cause: err}
	var ours *problem
	var semantic *json.SemanticError
	var syntactic *jsontext.SyntacticError
	switch {
	case errors.As(err, &ours):
		e.Path, e.Message, e.Cause = ours.path, ours.message, nil
		if ours.bare {
			return e
		}
	case errors.As(err, &semantic):
		e.Path = string(place(semantic))
		e.Message = explain(semantic)
	case errors.As(err, &syntactic):
		e.Path = string(syntactic.JSONPointer)
		e.Message = "malformed JSON: " + syntax(syntactic)
	}
	if e.Path != "" {
		e.Message = "at " + shorten(e.Path) + ": " + e.Message
	}
	return e
}

// place returns the path of an error. If a type with its own encoding returned malformed JSON, the
// path leads to the place of the fault within that JSON.
func place(err *json.SemanticError) jsontext.Pointer {
	var within *jsontext.SyntacticError
	switch {
	case !errors.As(err.Err, &within):
		return err.JSONPointer
	case err.JSONPointer.Contains(within.JSONPointer):
		return within.JSONPointer
	default:
		return err.JSONPointer + within.JSONPointer
	}
}

func shorten(s string) string {
	if len(s) <= maxLong {
		return s
	}
	return strings.ToValidUTF8(s[:maxLong], "") + "..."
}

// unwritable says why a Go value cannot be encoded as JSON.
func unwritable(err *json.SemanticError) string {
	switch err.GoType {
	case nil, reflect.TypeFor[planned](), reflect.TypeFor[fromValue]():
		return "it cannot be JSON" + because(err.Err)
	default:
		return "a Go value of type " + shorten(err.GoType.String()) + " cannot be JSON" + because(err.Err)
	}
}

// unreadable says which type was expected and which kind of value was found. It never contains the
// value: errors are logged, and messages may have secrets.
func unreadable(err *json.SemanticError) string {
	got, wanted := kindWord(err.JSONKind), wordAny
	if err.GoType != nil {
		wanted = typeWord(err.GoType)
	}
	switch {
	case errors.Is(err.Err, strconv.ErrRange):
		return fmt.Sprintf("the %s is out of the range of %v", got, err.GoType)
	case got == "":
		return fmt.Sprintf("nothing can be read into a Go value of type %v", err.GoType) + because(err.Err)
	case isBase64(err.Err):
		return "the string must be base64, with padding"
	case err.Err == nil || errors.Is(err.Err, strconv.ErrSyntax):
		return fmt.Sprintf("wanted %s, got %s", wanted, got)
	case fits(got, wanted):
		return fmt.Sprintf("the %s is not valid", got) + whyUnread(err)
	default:
		return fmt.Sprintf("wanted %s, got %s", wanted, got) + whyUnread(err)
	}
}

// reason is an error of this package that says why a value is refused. It does not contain the
// value.
type reason string

func (r reason) Error() string { return string(r) }

// lengths are texts of errors of the JSON library that may be repeated, because they do not contain
// the value.
var lengths = map[string]bool{"too few array elements": true, "too many array elements": true}

// whyUnread says why a value cannot be parsed. Errors of types with their own decoding, such as
// errors of package time, often repeat the value, so whyUnread only names such a type.
func whyUnread(err *json.SemanticError) string {
	_, ours := errors.AsType[reason](err.Err)
	_, malformed := errors.AsType[*jsontext.SyntacticError](err.Err)
	if ours || malformed || lengths[err.Err.Error()] {
		return because(err.Err)
	}
	return " for the Go type " + shorten(fmt.Sprint(err.GoType))
}

func isBase64(err error) bool {
	_, is := errors.AsType[base64.CorruptInputError](err)
	return is
}

// fits reports whether a value of this kind fits the expected type. Both are given in words.
func fits(got, wanted string) bool {
	return wanted == wordAny || strings.HasPrefix(wanted, got) || got == wordNumber && wanted == wordInteger
}

func because(err error) string {
	var syntactic *jsontext.SyntacticError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &syntactic):
		return ": " + syntax(syntactic)
	default:
		return ": " + err.Error()
	}
}

func syntax(err *jsontext.SyntacticError) string {
	switch {
	case err.Err == nil:
		return err.Error()
	case errors.Is(err.Err, io.ErrUnexpectedEOF):
		return "it ends too early"
	case errors.Is(err.Err, jsontext.ErrDuplicateName):
		return "the name appears twice"
	default:
		return err.Err.Error()
	}
}

// pointer returns the JSON pointer (RFC 6901) of a member of the outermost object.
func pointer(name string) string { return string(jsontext.Pointer("").AppendToken(name)) }

func kindWord(k jsontext.Kind) string {
	switch k {
	case 'n':
		return wordNull
	case 't', 'f':
		return wordBoolean
	case '"':
		return wordString
	case '0':
		return wordNumber
	case '{', '}':
		return wordObject
	case '[', ']':
		return wordArray
	default:
		return ""
	}
}
