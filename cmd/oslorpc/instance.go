package main

import (
	"strings"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// instanceDocument is an instance for programs.
type instanceDocument struct {
	Topic      string            `json:"topic"`
	Server     string            `json:"server"`
	Address    string            `json:"address"`
	Versions   []versionDocument `json:"versions"`
	State      rpc.State         `json:"state"`
	Exchange   string            `json:"exchange"`
	InstanceID string            `json:"instance_id"`
	BootID     string            `json:"boot_id"`
}

// versionDocument is an interface that an instance offers; the null namespace is empty.
type versionDocument struct {
	Namespace string `json:"namespace"`
	Version   string `json:"version"`
}

func newInstanceDocument(i oslorpc.Instance) instanceDocument {
	versions := make([]versionDocument, 0, len(i.Implemented))
	for _, v := range i.Implemented {
		versions = append(versions, versionDocument{v.Namespace, v.Version.String()})
	}
	return instanceDocument{
		Topic: i.Topic, Server: i.Server, Address: i.Addr, Versions: versions, State: i.State, Exchange: i.Exchange,
		InstanceID: i.ID, BootID: i.BootID,
	}
}

func newInstanceDocuments(list []oslorpc.Instance) []instanceDocument {
	documents := []instanceDocument{}
	for _, i := range list {
		documents = append(documents, newInstanceDocument(i))
	}
	return documents
}

var instanceColumns = []string{"TOPIC", serverColumn, addressColumn, versionsColumn, stateColumn, "EXCHANGE"}

// instanceRow returns the cells of an instance under instanceColumns.
func instanceRow(i oslorpc.Instance) []string {
	return []string{i.Topic, i.Server, i.Addr, versions(i), string(i.State), i.Exchange}
}

// versions lists the interfaces of an instance, such as "1.4,control=2.0".
func versions(i oslorpc.Instance) string {
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
