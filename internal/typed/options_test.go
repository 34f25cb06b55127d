package typed

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// contract is a file with a service. Text between < and > is replaced.
const contract = `
name: "dhcp.proto" package: "dhcp.v1" syntax: "<syntax>"
dependency: ["google/protobuf/empty.proto", "oslorpc/v1/options.proto"]
message_type {
  name: "Port"
  field { name: "size" number: 1 label: <label> type: TYPE_INT32 <oneof> options { <field> } }
  field { name: "other" number: 4 label: LABEL_OPTIONAL type: TYPE_INT32 oneof_index: 0 }
  field { name: "kind" number: 2 label: LABEL_OPTIONAL type: TYPE_ENUM type_name: ".dhcp.v1.Kind" }
  field { name: "next" number: 3 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".dhcp.v1.Port" }
  oneof_decl { name: "choice" }
}
message_type {
  name: "List"
  field { name: "ports" number: 1 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: ".dhcp.v1.Port" }
}
enum_type {
  name: "Kind"
  <aliases>
  value { name: "NONE" number: 0 }
  value { name: "NEW" number: 1 options { <value> } }
  value { name: "OLD" number: <number> }
}
service {
  name: "Dhcp"
  options { <service> }
  method {
    name: "GetPorts" input_type: "<input>" output_type: "<output>" client_streaming: <streams>
    options { <method> }
  }
}`

// built returns the service of the file with these replacements.
func built(t testing.TB, replace map[string]string) (protoreflect.ServiceDescriptor, error) {
	t.Helper()
	text := contract
	for name, value := range map[string]string{
		"syntax": "proto3", "label": "LABEL_OPTIONAL", "oneof": "", "field": "", "value": "", "aliases": "", "number": "2",
		"service": `[oslorpc.v1.service] { version: "1.2" }`, "input": ".dhcp.v1.List", "output": ".google.protobuf.Empty",
		"streams": "false", "method": "",
	} {
		if other, ok := replace[name]; ok {
			value = other
		}
		text = strings.ReplaceAll(text, "<"+name+">", value)
	}
	var file descriptorpb.FileDescriptorProto
	if err := prototext.Unmarshal([]byte(text), &file); err != nil {
		return nil, err
	}
	d, err := protodesc.NewFile(&file, protoregistry.GlobalFiles)
	if err != nil {
		return nil, err
	}
	return d.Services().Get(0), nil
}

func TestMalformed(t *testing.T) {
	field := func(rules string) map[string]string {
		return map[string]string{"field": "[oslorpc.v1.field] {" + rules + "}"}
	}
	value := func(rules string) map[string]string {
		return map[string]string{"value": "[oslorpc.v1.enum_value] {" + rules + "}"}
	}
	service := func(rules string) map[string]string {
		return map[string]string{"service": "[oslorpc.v1.service] {" + rules + "}"}
	}
	method := func(rules string, more ...string) map[string]string {
		m := map[string]string{"method": "[oslorpc.v1.method] {" + rules + "}"}
		for i := 0; i < len(more); i += 2 {
			m[more[i]] = more[i+1]
		}
		return m
	}
	required := field(`since: "1.1" older_peers: OLDER_PEERS_DROP`)
	required["syntax"], required["label"] = "proto2", "LABEL_REQUIRED"
	oneof := field(`since: "1.1" older_peers: OLDER_PEERS_DROP`)
	oneof["oneof"] = "oneof_index: 0"
	result := field(`since: "x"`)
	result["input"], result["output"] = ".google.protobuf.Empty", ".dhcp.v1.Port"
	for _, c := range []struct {
		replace map[string]string
		want    string
	}{
		{service(``), "version is missing"},
		{service(`topic: "a"`), "version is missing"},
		{service(`version: "1"`), `version "1" is malformed`},
		{method(`since: "x"`), `method GetPorts: since: version "x" is malformed`},
		{method(`since: "1.9"`), `method GetPorts: since "1.9" is later than the version of the service, 1.2`},
		{method(`since: "2.0"`), `method GetPorts: since "2.0" is later`},
		{method(`deprecated_since: "1"`), `method GetPorts: deprecated_since: version "1" is malformed`},
		{method(`deprecated_since: "1.3"`), `method GetPorts: deprecated_since "1.3" is later`},
		{method(`since: "1.2" deprecated_since: "1.1"`), `method GetPorts: deprecated_since "1.1" is earlier than the method's since, 1.2`},
		{method(`delivery: 9`), "method GetPorts: delivery 9 is unknown"},
		{method(`delivery: DELIVERY_CAST`, "streams", "true"), "method GetPorts: DELIVERY_CAST may not stream"},
		{
			method(`delivery: DELIVERY_FANOUT`, "output", ".dhcp.v1.List"),
			"method GetPorts: DELIVERY_FANOUT has no result: the method must return google.protobuf.Empty, not dhcp.v1.List",
		},
		{field(`since: "x"`), `field dhcp.v1.Port.size: since: version "x" is malformed`},
		{field(`since: "1.1" older_peers: 9`), "field dhcp.v1.Port.size: older_peers 9 is unknown"},
		{field(`older_peers: OLDER_PEERS_DROP`), "field dhcp.v1.Port.size: older_peers needs since"},
		{oneof, "field dhcp.v1.Port.size: older_peers must not be OLDER_PEERS_DROP: the field is in oneof choice"},
		{required, "field dhcp.v1.Port.size: older_peers must not be OLDER_PEERS_DROP: the field is required"},
		{result, "field dhcp.v1.Port.size: since"},
		{value(`since: "x"`), `enum value NEW of dhcp.v1.Kind: since: version "x" is malformed`},
		{value(`older_peers: OLDER_PEERS_DROP`), "enum value NEW of dhcp.v1.Kind: older_peers needs since"},
	} {
		declared, err := built(t, c.replace)
		if err != nil {
			t.Fatalf("%s: %v", c.want, err)
		}
		s, err := compileService(declared)
		if s != nil || err == nil || !strings.HasPrefix(err.Error(), "service dhcp.v1.Dhcp: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

// compileBuilt compiles the file with these replacements.
func compileBuilt(t testing.TB, replace map[string]string) *Method {
	t.Helper()
	declared, err := built(t, replace)
	if err != nil {
		t.Fatal(err)
	}
	s, err := compileService(declared)
	if err != nil {
		t.Fatal(err)
	}
	return s.Methods["GetPorts"]
}

func TestEarlierMajor(t *testing.T) {
	m := compileBuilt(t, map[string]string{
		"service": `[oslorpc.v1.service] { version: "2.3" namespace: "a" }`,
		"method":  `[oslorpc.v1.method] { since: "1.7" deprecated_since: "1.9" }`,
		"field":   `[oslorpc.v1.field] { since: "1.4" older_peers: OLDER_PEERS_DROP }`,
		"value":   `[oslorpc.v1.enum_value] { since: "2.1" }`,
	})
	two := rpc.Version{Major: 2}
	if m.Since != two || m.Deprecated != two || m.Service.Namespace != "a" {
		t.Errorf("%+v", m)
	}
	in := dynamicpb.NewMessage(m.input)
	unmarshal(t, `ports { size: 1 }`, in)
	if n := m.Need(in); n != (Need{two, two}) || m.Fit(in, rpc.Version{Major: 1}) != proto.Message(in) {
		t.Errorf("needs %v", n)
	}
	unmarshal(t, `ports { size: 1 next { kind: NEW } }`, in)
	if e, ok := m.Blame(in, two); !ok || e.Path != "ports[0].next.kind: NEW" || e.Since != (rpc.Version{Major: 2, Minor: 1}) {
		t.Errorf("blames %v", e)
	}
}

func TestDefaultNamespace(t *testing.T) {
	if m := compileBuilt(t, nil); m.Service.Namespace != "" || m.Since != rpc.DefaultVersion || m.plan != nil {
		t.Errorf("%+v of %+v", m, m.Service)
	}
}

func TestLaterThanService(t *testing.T) {
	m := compileBuilt(t, map[string]string{"field": `[oslorpc.v1.field] { since: "3.0" }`})
	in := dynamicpb.NewMessage(m.input)
	unmarshal(t, `ports { size: 1 }`, in)
	if n := m.Need(in); n.Version != (rpc.Version{Major: 3}) {
		t.Errorf("needs %v", n)
	}
}

// TestAlias has an enum value with two names, one of which is old.
func TestAlias(t *testing.T) {
	m := compileBuilt(t, map[string]string{
		"value": `[oslorpc.v1.enum_value] { since: "1.1" }`, "number": "1", "aliases": "options { allow_alias: true }",
	})
	if m.plan != nil {
		t.Errorf("%+v", m.plan)
	}
}

// TestOptionsOfOthers has options that were decoded without the extensions.
func TestOptionsOfOthers(t *testing.T) {
	declared, err := built(t, map[string]string{"field": `[oslorpc.v1.field] { since: "1.1" }`})
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := proto.Marshal(protodesc.ToFileDescriptorProto(declared.ParentFile()))
	if err != nil {
		t.Fatal(err)
	}
	var file descriptorpb.FileDescriptorProto
	if err := (proto.UnmarshalOptions{Resolver: new(protoregistry.Types)}).Unmarshal(encoded, &file); err != nil {
		t.Fatal(err)
	}
	again, err := protodesc.NewFile(&file, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	s, err := compileService(again.Services().Get(0))
	if err != nil || s.Version.Minor != 2 || s.Methods["GetPorts"].plan == nil {
		t.Errorf("%+v, %v", s, err)
	}
}

func unmarshal(t testing.TB, text string, m proto.Message) {
	t.Helper()
	if err := prototext.Unmarshal([]byte(text), m); err != nil {
		t.Fatal(err)
	}
}

func FuzzSince(f *testing.F) {
	for _, seed := range []string{"", "1.0", "1.1", "1.2.1", "0.1", "1.3", "2.0", "x", "1", "4294967295.4294967295.4294967295", "1.01"} {
		f.Add(seed, int32(0))
		f.Add(seed, int32(2))
	}
	f.Fuzz(func(t *testing.T, since string, peers int32) {
		text := prototext.MarshalOptions{}.Format(&descriptorpb.FieldDescriptorProto{Name: &since})
		quoted := strings.TrimSpace(strings.TrimPrefix(text, "name:"))
		rules := "since: " + quoted + " older_peers: " + rpc.Version{Minor: uint32(peers) % 4}.String()[2:]
		declared, err := built(t, map[string]string{
			"field":  "[oslorpc.v1.field] {" + rules + "}",
			"method": "[oslorpc.v1.method] { since: " + quoted + "}",
		})
		if err != nil {
			t.Skip(err)
		}
		s, err := compileService(declared)
		if (s == nil) == (err == nil) {
			t.Fatalf("%v, %v", s, err)
		}
		if err != nil {
			return
		}
		m := s.Methods["GetPorts"]
		in := dynamicpb.NewMessage(m.input)
		unmarshal(t, `ports { size: 1 }`, in)
		checkSteps(t, m, in)
		if later(m.Since, s.Version) || m.Since.Major != s.Version.Major {
			t.Errorf("since %v", m.Since)
		}
	})
}
