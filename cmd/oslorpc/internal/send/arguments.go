package send

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// argument is a keyword argument of the command line.
type argument struct {
	name string
	json jsontext.Value // kept as text, so that no number is rounded
	text bool           // given as key=text
}

// arguments are in the order of the command line. Their names differ.
type arguments []argument

// parseArguments parses key=text and key:=json.
func parseArguments(words []string) (arguments, error) {
	var args arguments
	for _, word := range words {
		a, err := parseArgument(word)
		if err != nil {
			return nil, err
		}
		if args, err = args.add(a); err != nil {
			return nil, err
		}
	}
	return args, nil
}

func parseArgument(word string) (argument, error) {
	key, value, found := strings.Cut(word, "=")
	name, isJSON := strings.CutSuffix(key, ":")
	switch {
	case !found:
		return argument{}, cli.Usage("%q is not an argument: write key=text, or key:=json for anything but text", word)
	case name == "":
		return argument{}, cli.Usage("%q has no name before the sign: write key=text or key:=json", word)
	case !utf8.ValidString(word):
		return argument{}, cli.Usage("%q is not UTF-8: encode it", word)
	case !isJSON:
		quoted, err := jsontext.AppendQuote(nil, value)
		return argument{name: name, json: quoted, text: true}, err
	case !jsontext.Value(value).IsValid():
		return argument{}, cli.Usage("%q is not JSON; for text, write %s=%s", value, name, value)
	}
	return argument{name: name, json: jsontext.Value(strings.TrimSpace(value))}, nil
}

func (args arguments) add(a argument) (arguments, error) {
	if slices.ContainsFunc(args, func(b argument) bool { return a.name == b.name }) {
		return nil, cli.Usage("the argument %q is given twice", a.name)
	}
	return append(args, a), nil
}

// parseObject reads a JSON object as arguments.
func parseObject(text []byte) (arguments, error) {
	decoder := jsontext.NewDecoder(bytes.NewReader(text))
	if kind := decoder.PeekKind(); kind != '{' {
		if _, err := decoder.ReadValue(); err != nil {
			return nil, notAnObject(err)
		}
		return nil, notAnObject(fmt.Errorf("it begins with %q", string(kind)))
	}
	args, err := readMembers(decoder)
	if err != nil {
		return nil, notAnObject(err)
	}
	if _, err := decoder.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, notAnObject(errors.New("more text follows the object"))
	}
	return args, nil
}

// readMembers reads an object. The decoder refuses duplicate names.
func readMembers(decoder *jsontext.Decoder) (arguments, error) {
	if _, err := decoder.ReadToken(); err != nil {
		return nil, err
	}
	var args arguments
	for decoder.PeekKind() != '}' {
		token, err := decoder.ReadToken()
		if err != nil {
			return nil, err
		}
		name := token.String()
		value, err := decoder.ReadValue()
		if err != nil {
			return nil, err
		}
		args = append(args, argument{name: name, json: value.Clone()})
	}
	_, err := decoder.ReadToken()
	return args, err
}

func notAnObject(reason error) error {
	why := strings.TrimPrefix(reason.Error(), "jsontext: ")
	if errors.Is(reason, io.EOF) {
		why = "it is empty"
	}
	return cli.Usage(`standard input is no JSON object such as {"a": 1}: %s`, why)
}

// object returns the arguments as the text of a JSON object.
func (args arguments) object() oslorpc.Raw {
	text := []byte{'{'}
	for i, a := range args {
		if i > 0 {
			text = append(text, ',')
		}
		text, _ = jsontext.AppendQuote(text, a.name) // it is UTF-8
		text = append(text, ':')
		text = append(text, a.json...)
	}
	return oslorpc.Raw(append(text, '}'))
}

// dict returns the arguments as a request context.
func (args arguments) dict() oslorpc.RequestContext {
	dict := oslorpc.RequestContext{}
	for _, a := range args {
		dict[a.name] = oslorpc.Raw(a.json)
	}
	return dict
}

// explain adds advice to an error about an argument that was given as text and must be another
// type.
func (args arguments) explain(err error) error {
	e, ok := errors.AsType[*oslorpc.Error](err)
	if !ok || e.Kind != oslorpc.BadArguments {
		return err
	}
	name := jsontext.Pointer(e.Path).LastToken()
	i := slices.IndexFunc(args, func(a argument) bool { return a.name == name && a.text })
	if i < 0 || jsontext.Pointer(e.Path).Parent() != "" {
		return err
	}
	return cli.WithHint(err, args[i].advice())
}

// maxAdvice bounds a value that advice repeats.
const maxAdvice = 60

// advice says how to write a text argument as another type.
func (a argument) advice() string {
	text, _ := jsontext.AppendUnquote(nil, a.json) // it was quoted here
	if len(text) <= maxAdvice && jsontext.Value(text).IsValid() {
		return fmt.Sprintf("%s=%s is text: write %s:=%s", a.name, text, a.name, text)
	}
	return fmt.Sprintf("%s=… is text: for anything else write %s:= and JSON", a.name, a.name)
}
