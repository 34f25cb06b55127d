package rpc

import (
	"cmp"
	"fmt"
	"strings"
)

// Implementation is the version of a namespace that a server implements.
type Implementation struct {
	// Namespace is empty for the default namespace.
	Namespace string
	// Version is the version that the server implements.
	Version Version
}

// Interface returns the interface that the version belongs to.
func (i Implementation) Interface() Interface { return Interface{i.Namespace, i.Version.Major} }

// Interface is a major version of a namespace. Versions of one interface are compatible.
type Interface struct {
	// Namespace is empty for the default namespace.
	Namespace string
	// Major is the major version.
	Major uint32
}

// String returns a short name, such as "control=2.x", or "1.x" in the default namespace.
func (i Interface) String() string {
	if i.Namespace == "" {
		return fmt.Sprintf("%d.x", i.Major)
	}
	return fmt.Sprintf("%s=%d.x", i.Namespace, i.Major)
}

// Compare orders interfaces by namespace and major version.
func (i Interface) Compare(j Interface) int {
	return cmp.Or(strings.Compare(i.Namespace, j.Namespace), cmp.Compare(i.Major, j.Major))
}

// DescribeNamespace returns the words for a namespace within a sentence: "default namespace", or a
// text such as `namespace "control"`.
func DescribeNamespace(namespace string) string {
	if namespace == "" {
		return "default namespace"
	}
	return fmt.Sprintf("namespace %q", namespace)
}
