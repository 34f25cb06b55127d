package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/oslorpc/oslorpc/internal/failure"
	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// maxFile bounds a policy file, in bytes.
const maxFile = 1 << 20

// These are the modes of a policy file.
const (
	modeEnforce = "enforce"
	modeDryRun  = "dry-run"
)

// Read returns the text of a policy file.
func Read(path string) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // The operator names the file.
	if err != nil {
		return nil, failure.Invalid("the policy file cannot be read: %v", err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, failure.Invalid("the policy file cannot be read: %v", err)
	case len(text) > maxFile:
		return nil, failure.Invalid("the policy file %s is larger than %d bytes", path, maxFile)
	}
	return text, nil
}

// Load reads a policy file and compiles it.
func Load(path string) (*Policy, error) {
	text, err := Read(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, text)
}

// Parse compiles the text of a policy file. An error is of kind [rpc.Invalid], and lists all
// mistakes with their lines. Name is the name of the file in errors.
func Parse(name string, text []byte) (*Policy, error) {
	r := reader{}
	p := r.document(text)
	if len(r.mistakes) == 0 {
		compiled, err := compile(p, r.places)
		if err == nil {
			return compiled, nil
		}
		r.mistakes = append(r.mistakes, err)
	}
	return nil, r.failure(name)
}

// MistakesError lists the mistakes in a file, each with its line. errors.As finds it in an error of
// [Parse] and [ParseCases].
type MistakesError []string

// Error returns one mistake per line.
func (m MistakesError) Error() string { return strings.Join(m, "\n") }

// failure returns the mistakes as an error.
func (r *reader) failure(name string) error {
	list := MistakesError(strings.Split(errors.Join(r.mistakes...).Error(), "\n"))
	for i := range list {
		list[i] = name + ":" + list[i]
	}
	return &rpc.Error{Kind: rpc.Invalid, Message: list.Error(), NotStarted: true, Cause: list}
}

// place is the place of a rule in its file: its line, and the lines of the elements of its fields.
type place struct {
	line   int
	fields map[string][]int
}

// of returns the line of an element of a field. If it is not known, it returns the line of the
// field or of the rule.
func (p place) of(field string, element int) int {
	switch lines := p.fields[field]; {
	case element < len(lines):
		return lines[element]
	case len(lines) > 0:
		return lines[0]
	default:
		return p.line
	}
}

// reader parses a policy file, and collects mistakes.
type reader struct {
	places   []place
	mistakes []error
}

func (r *reader) wrongf(line int, format string, args ...any) {
	r.mistakes = append(r.mistakes, fmt.Errorf("%d: %s", line, fmt.Sprintf(format, args...)))
}

// root returns the root node of a file, or nil if the file cannot be parsed. Empty is the text of
// the mistake for an empty file.
func (r *reader) root(text []byte, empty string) *yaml.Node {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		r.wrongf(1, "%s", empty)
		return nil
	} else if err != nil {
		r.syntax(err)
		return nil
	}
	if err := decoder.Decode(&yaml.Node{}); err == nil {
		r.wrongf(document.Line, "the file has a second document: it must be one")
	} else if !errors.Is(err, io.EOF) {
		r.syntax(err)
	}
	return document.Content[0]
}

// document parses a policy.
func (r *reader) document(text []byte) (p trust.Policy) {
	root := r.root(text, "the file is empty: write `rules: []` to deny everything")
	if root == nil {
		return p
	}
	var rules *yaml.Node
	r.mapping(root, "a policy", map[string]func(key, value *yaml.Node){
		"mode":  func(_, value *yaml.Node) { p.DryRun = r.mode(value) },
		"rules": func(_, value *yaml.Node) { rules = value },
	})
	switch {
	case rules == nil:
		r.wrongf(root.Line, "`rules` is missing: write `rules: []` to deny everything")
	case rules.Kind != yaml.SequenceNode:
		r.wrongf(rules.Line, "`rules` must be a list")
	default:
		for _, node := range rules.Content {
			p.Rules = append(p.Rules, r.rule(node))
		}
	}
	return p
}

// syntax records an error of the YAML parser, whose text usually begins with "yaml: line N: ".
func (r *reader) syntax(err error) {
	text, line := strings.TrimPrefix(err.Error(), "yaml: "), 1
	if n, err := fmt.Sscanf(text, "line %d:", &line); n == 1 && err == nil {
		_, text, _ = strings.Cut(text, ": ")
	}
	r.wrongf(line, "%s", strings.ReplaceAll(text, "\n", " "))
}

// mapping calls the function in fields for each key of a mapping. What names the mapping in
// mistakes.
func (r *reader) mapping(node *yaml.Node, what string, fields map[string]func(key, value *yaml.Node)) {
	if node.Kind != yaml.MappingNode {
		r.wrongf(node.Line, "%s must be a mapping", what)
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], resolved(node.Content[i+1])
		read := fields[key.Value]
		switch {
		case read == nil || key.Kind != yaml.ScalarNode:
			r.wrongf(key.Line, "%s has no key %q: the keys are %s", what, key.Value, names(fields))
		case seen[key.Value]:
			r.wrongf(key.Line, "%s has the key %q twice", what, key.Value)
		default:
			read(key, value)
		}
		seen[key.Value] = true
	}
}

func names(fields map[string]func(key, value *yaml.Node)) string {
	list := make([]string, 0, len(fields))
	for name := range fields {
		list = append(list, name)
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// resolved returns the node that an alias refers to, or the node itself.
func resolved(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

func (r *reader) mode(node *yaml.Node) (dryRun bool) {
	if node.Value != modeEnforce && node.Value != modeDryRun {
		r.wrongf(node.Line, "`mode` must be %s or %s", modeEnforce, modeDryRun)
	}
	return node.Value == modeDryRun
}

func (r *reader) rule(node *yaml.Node) (rule trust.Rule) {
	node = resolved(node)
	at := place{line: node.Line, fields: map[string][]int{}}
	texts := func(into *[]string) func(key, value *yaml.Node) {
		return func(key, value *yaml.Node) { *into, at.fields[key.Value] = r.texts(key, value) }
	}
	var name, delivery []string
	r.mapping(node, "a rule", map[string]func(key, value *yaml.Node){
		fieldName: texts(&name), fieldFrom: texts(&rule.From), fieldExchange: texts(&rule.Exchange), fieldTopic: texts(&rule.Topic),
		fieldNamespace: texts(&rule.Namespace), fieldServer: texts(&rule.Server), fieldMethod: texts(&rule.Method),
		fieldDelivery: texts(&delivery), fieldServices: texts(&rule.Services),
	})
	switch {
	case len(name) == 1:
		rule.Name = name[0]
	case name != nil:
		r.wrongf(at.of(fieldName, 0), "`name` must be one text")
	}
	if delivery != nil {
		rule.Delivery = make([]rpc.Delivery, len(delivery))
		for i, d := range delivery {
			rule.Delivery[i] = rpc.Delivery(d)
		}
	}
	r.places = append(r.places, at)
	return rule
}

// texts parses a string or a list of strings, with their lines.
func (r *reader) texts(key, value *yaml.Node) (list []string, lines []int) {
	elements := []*yaml.Node{value}
	if value.Kind == yaml.SequenceNode {
		elements = value.Content
	}
	list = []string{}
	for _, element := range elements {
		element = resolved(element)
		if element.Kind != yaml.ScalarNode || element.ShortTag() != "!!str" {
			r.wrongf(element.Line, "`%s` must be a text or a list of texts: put numbers, true, false and null in quotes", key.Value)
			continue
		}
		list, lines = append(list, element.Value), append(lines, element.Line)
	}
	if len(lines) == 0 {
		lines = []int{key.Line}
	}
	return list, lines
}
