package look

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
)

// write writes the profile for people.
func (p *Profile) write(b *bytes.Buffer) {
	fmt.Fprintf(b, "%s on %s at %s", cli.Cell(p.Server), cli.Cell(p.Topic), cli.Cell(p.Address))
	if p.Error != nil {
		fmt.Fprintf(b, ": %s\n", p.Error.Text())
		return
	}
	uptime := time.Duration(p.Uptime * float64(time.Second)).Round(time.Second)
	fmt.Fprintf(b, ", process %d, build %s, up %s", p.ProcessID, cli.Cell(p.Build), uptime)
	if p.Zone != "" {
		fmt.Fprintf(b, ", zone %s", cli.Cell(p.Zone))
	}
	b.WriteString("\n")
	if p.Policy != nil {
		p.Policy.write(b)
	}
	writeLimits(b, p.Limits)
	if p.Sessions != nil {
		p.Sessions.write(b)
	}
	if p.Gateway != nil {
		p.Gateway.write(b)
	}
	for _, s := range p.Servers {
		state := cli.Cell(string(s.State))
		fmt.Fprintf(b, "  %s; %d running, %d queued, %d refused\n", state, s.Running, s.Queued, s.Refused)
		for _, e := range s.Endpoints {
			e.write(b)
		}
		writeCallers(b, s.Callers)
		if s.Uncounted > 0 {
			fmt.Fprintf(b, "    %d messages are counted for no caller, as the server had no room\n", s.Uncounted)
		}
	}
}

func (e *EndpointDocument) write(b *bytes.Buffer) {
	fmt.Fprintf(b, "  version %s%s%s\n", cli.Cell(e.Version), e.namespaces(), deprecated(e.Deprecated))
	rows := append(make([][]string, 0, 1+len(e.Methods)), []string{"METHOD", "RESULT", "STARTED", "FAILED"})
	for _, m := range e.Methods {
		rows = append(rows, m.row(m.Name))
	}
	if e.Fallback != nil {
		rows = append(rows, e.Fallback.row("*"))
	}
	_ = cli.WriteTable(b, "    ", rows) // a buffer takes everything
}

// namespaces lists the namespaces of an endpoint. It is empty for the default namespace alone.
func (e *EndpointDocument) namespaces() string {
	if len(e.Namespaces) == 1 && e.Namespaces[0] == "" {
		return ""
	}
	var words []string
	for _, namespace := range e.Namespaces {
		if namespace == "" {
			words = append(words, "the default namespace")
		} else {
			words = append(words, "namespace "+cli.OneLine(namespace))
		}
	}
	return ", " + strings.Join(words, ", ")
}

// row returns the cells of a method. The name may differ from the method's: a fallback has none.
func (m *MethodDocument) row(name string) []string {
	return []string{name + m.arguments() + deprecated(m.Deprecated), m.result(), fmt.Sprint(m.Started), fmt.Sprint(m.Failed)}
}

// deprecated returns the mark of a deprecated method or endpoint, empty if there is no version.
func deprecated(version string) string {
	if version == "" {
		return ""
	}
	return ", deprecated since " + cli.OneLine(version)
}

// arguments returns the arguments as in "(a integer, b integer)".
func (m *MethodDocument) arguments() string {
	var words []string
	for _, a := range m.Arguments {
		word := a.Name + " " + a.Type
		if a.Optional {
			word = "[" + word + "]"
		}
		words = append(words, word)
	}
	if m.Extra {
		words = append(words, "...")
	}
	return "(" + strings.Join(words, ", ") + ")"
}

func (m *MethodDocument) result() string {
	if m.Streaming {
		return "stream of " + m.Result
	}
	return m.Result
}
