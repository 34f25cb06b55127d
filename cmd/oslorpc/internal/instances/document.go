package instances

import (
	"strings"

	"github.com/oslorpc/oslorpc/cmd/oslorpc/internal/cli"
	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// Document is an instance for programs.
type Document struct {
	Topic      string            `json:"topic"`
	Server     string            `json:"server"`
	Address    string            `json:"address"`
	Versions   []VersionDocument `json:"versions"`
	State      rpc.State         `json:"state"`
	Exchange   string            `json:"exchange"`
	Zone       string            `json:"zone,omitempty"`
	InstanceID string            `json:"instance_id"`
	BootID     string            `json:"boot_id"`
}

// VersionDocument is an interface that an instance offers. The default namespace is empty.
type VersionDocument struct {
	Namespace string `json:"namespace"`
	Version   string `json:"version"`
}

// NewDocument returns the document of an instance.
func NewDocument(i oslorpc.Instance) Document {
	versions := make([]VersionDocument, 0, len(i.Implemented))
	for _, v := range i.Implemented {
		versions = append(versions, VersionDocument{v.Namespace, v.Version.String()})
	}
	return Document{
		Topic: i.Topic, Server: i.Server, Address: i.Addr, Versions: versions, State: i.State, Exchange: i.Exchange, Zone: i.Zone,
		InstanceID: i.ID, BootID: i.BootID,
	}
}

// NewDocuments returns the documents of a list, which is never nil.
func NewDocuments(list []oslorpc.Instance) []Document {
	documents := []Document{}
	for _, i := range list {
		documents = append(documents, NewDocument(i))
	}
	return documents
}

// Columns are the titles of the cells that Row returns.
var Columns = []string{"TOPIC", cli.ServerColumn, cli.AddressColumn, cli.VersionsColumn, cli.StateColumn, "EXCHANGE"}

// WideColumns are the titles of the cells that WideRow adds.
var WideColumns = []string{"ZONE", "INSTANCE"}

// WideRow returns the cells of an instance that a narrow table lacks.
func WideRow(i oslorpc.Instance) []string { return []string{i.Zone, i.ID} }

// Row returns the cells of an instance.
func Row(i oslorpc.Instance) []string {
	return []string{i.Topic, i.Server, i.Addr, Versions(i), string(i.State), i.Exchange}
}

// Versions lists the interfaces of an instance, such as "1.4,control=2.0".
func Versions(i oslorpc.Instance) string {
	words := make([]string, 0, len(i.Implemented))
	for _, v := range i.Implemented {
		word := v.Version.String()
		if v.Namespace != "" {
			word = v.Namespace + "=" + word
		}
		words = append(words, word)
	}
	return strings.Join(words, ",")
}
