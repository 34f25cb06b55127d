package typed

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/oslorpc/oslorpc/internal/golden"
	v1 "github.com/oslorpc/oslorpc/internal/typed/typedtest/v1"
)

const goldenFile = "typed.json"

// goldenMessage is a message of a method, with the versions at which it can be sent.
type goldenMessage struct {
	Case   string `json:"case"`
	Method string `json:"method"`
	// Message is encoded, since JSON cannot express all messages.
	Message []byte       `json:"message"`
	Steps   []goldenStep `json:"steps"`
}

// goldenStep is what servers with a version get. The first step is the message itself.
type goldenStep struct {
	Version string `json:"version"`
	Message []byte `json:"message"`
}

// goldenMethod contains the options of a method and its service.
type goldenMethod struct {
	Path      string `json:"path"`
	Topic     string `json:"topic"`
	Namespace string `json:"namespace"`
	Version   string `json:"version"`
	Since     string `json:"since"`
	Delivery  string `json:"delivery"`
}

func TestGoldenMessages(t *testing.T) {
	var found []goldenMessage
	for _, c := range needCases(t) {
		found = append(found, goldenOf(t, c.name, "CreateVolume", c.in))
	}
	shrink := &v1.ResizeVolumeRequest{Name: "a", Shrink: true}
	found = append(
		found,
		goldenOf(t, "a rule as old as the method", "ResizeVolume", shrink),
		goldenOf(t, "a method that is not of the beginning", "ResizeVolume", &v1.ResizeVolumeRequest{Online: true}),
	)
	golden.Save(t, goldenFile, "messages", found)
	if !golden.Equal(t, found, golden.Load[goldenMessage](t, goldenFile, "messages")) {
		t.Error("proto/testdata/typed.json differs: go test ./internal/typed -run Golden -update, and look at what changed")
	}
}

func goldenOf(t *testing.T, name, of string, in proto.Message) goldenMessage {
	t.Helper()
	m := method(t, of)
	c := goldenMessage{Case: name, Method: m.Path, Message: encoded(t, in)}
	for _, step := range m.Steps(in) {
		c.Steps = append(c.Steps, goldenStep{Version: step.String(), Message: encoded(t, m.Fit(in, step))})
	}
	return c
}

func encoded(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGoldenMethods(t *testing.T) {
	names := map[Delivery]string{Call: "call", Cast: "cast", Fanout: "fanout"}
	var found []goldenMethod
	for _, path := range []string{
		"/typedtest.v1.InventoryService/GetVolume",
		"/typedtest.v1.InventoryService/CreateVolume",
		"/typedtest.v1.InventoryService/ResizeVolume",
		"/typedtest.v1.InventoryService/ReportUsage",
		"/typedtest.v1.InventoryService/InvalidateCache",
		"/typedtest.v1.InventoryService/WatchVolumes",
		"/typedtest.v1.PlainService/Echo",
	} {
		m, err := FindMethod(path)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, goldenMethod{
			Path: path, Topic: m.Service.Topic, Namespace: m.Service.Namespace,
			Version: m.Service.Version.String(), Since: m.Since.String(), Delivery: names[m.Delivery],
		})
	}
	golden.Save(t, goldenFile, "methods", found)
	if !golden.Equal(t, found, golden.Load[goldenMethod](t, goldenFile, "methods")) {
		t.Error("proto/testdata/typed.json differs: go test ./internal/typed -run Golden -update, and look at what changed")
	}
}
