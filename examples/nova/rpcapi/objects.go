package rpcapi

import "encoding/json"

// This file parses the versioned objects of Nova itself, so that Nova's own ComputeAPI can send to
// the computes of this example, with the driver of oslo.messaging.

// UnmarshalJSON parses an instance: one of this example, or an object of Nova, whose other fields
// are ignored.
func (i *Instance) UnmarshalJSON(text []byte) error {
	type plain Instance // without this method
	return readObject(text, (*plain)(i))
}

// UnmarshalJSON parses a flavor in either form.
func (f *Flavor) UnmarshalJSON(text []byte) error {
	type plain Flavor // without this method
	return readObject(text, (*plain)(f))
}

// readObject parses the data of an object of Nova, or data in the form of this example.
func readObject(text []byte, into any) error {
	var object struct {
		Data json.RawMessage `json:"nova_object.data"`
	}
	if err := json.Unmarshal(text, &object); err == nil && object.Data != nil {
		text = object.Data
	}
	return json.Unmarshal(text, into)
}
