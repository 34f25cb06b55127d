package rpcapi

import "encoding/json"

// This file reads the versioned objects of Nova itself, so that its own ComputeAPI can send to the
// computes of this example, over the driver of oslo.messaging.

// UnmarshalJSON reads an instance: one of this example, or an object of Nova, of which the fields
// that are not here are left out.
func (i *Instance) UnmarshalJSON(text []byte) error {
	type plain Instance // without this method
	return readObject(text, (*plain)(i))
}

// UnmarshalJSON reads a flavor in either form.
func (f *Flavor) UnmarshalJSON(text []byte) error {
	type plain Flavor // without this method
	return readObject(text, (*plain)(f))
}

// readObject reads the data of an object of Nova, or what is no such object.
func readObject(text []byte, into any) error {
	var object struct {
		Data json.RawMessage `json:"nova_object.data"`
	}
	if err := json.Unmarshal(text, &object); err == nil && object.Data != nil {
		text = object.Data
	}
	return json.Unmarshal(text, into)
}
