package httpfront

import (
	"strings"

	"github.com/oslorpc/oslorpc/pkg/rpc"
)

type object map[string]any

// newDocument returns the OpenAPI document of an endpoint.
func newDocument(target rpc.Target, e *rpc.EndpointInfo, offered []rpc.EndpointInfo) object {
	paths := object{}
	for _, m := range e.Methods {
		for _, name := range deliveriesOf(&m) {
			paths["/v1/"+string(name)+"/"+escape(target.Topic)+"/"+escape(m.Name)] = object{"post": operationOf(target, e, &m, name)}
		}
	}
	return object{
		"openapi": "3.0.3",
		"info": object{
			"title":   "Topic " + target.Topic + ", " + inNamespace(target.Namespace),
			"version": e.Version.String(),
			"description": "The methods that servers on topic " + target.Topic + " in exchange " + target.Exchange + " offer. " +
				"Interfaces on the topic: " + interfacesOf(offered) + ".",
		},
		"paths": paths,
		"components": object{
			"schemas": object{"Problem": problemSchema()},
			"responses": object{"Problem": object{
				"description": "What went wrong. `kind` says what, and `safe_to_retry` whether the method provably did not run.",
				"content":     object{"application/problem+json": object{"schema": object{"$ref": "#/components/schemas/Problem"}}},
			}},
		},
	}
}

// deliveriesOf returns the ways of delivery that a method supports.
func deliveriesOf(m *rpc.MethodInfo) []rpc.Delivery {
	if m.Streaming {
		return []rpc.Delivery{rpc.DeliveryMulticall}
	}
	return []rpc.Delivery{rpc.DeliveryCall, rpc.DeliveryCast, rpc.DeliveryFanout, rpc.DeliveryGather}
}

// escape escapes a name for use as one part of a path.
func escape(name string) string {
	return strings.NewReplacer("%", "%25", "/", "%2F", "{", "%7B", "}", "%7D", "?", "%3F", "#", "%23").Replace(name)
}

// operationOf describes one way to call a method.
func operationOf(target rpc.Target, e *rpc.EndpointInfo, m *rpc.MethodInfo, as rpc.Delivery) object {
	operation := object{
		"operationId": string(as) + "_" + m.Name,
		"tags":        []rpc.Delivery{as},
		"parameters":  parametersOf(target, e, as),
		"requestBody": object{
			"required": hasRequired(m),
			"content":  object{"application/json": object{"schema": argumentsSchema(m)}},
		},
		"responses": object{"default": object{"$ref": "#/components/responses/Problem"}},
	}
	status, response := responseOf(m, as)
	operation["responses"].(object)[status] = response
	if m.DeprecatedSince != (rpc.Version{}) || e.DeprecatedSince != (rpc.Version{}) {
		operation["deprecated"] = true
	}
	if m.Since != (rpc.Version{}) {
		operation["description"] = "Since version " + m.Since.String() + "."
	}
	return operation
}

// parametersOf describes the query parameters of an operation.
func parametersOf(target rpc.Target, e *rpc.EndpointInfo, as rpc.Delivery) []object {
	query := func(name, description string, schema object) object {
		return object{"name": name, "in": "query", "description": description, "schema": schema}
	}
	version := query("version", "The lowest version that can serve the message.", object{"type": "string", "default": e.Version.String()})
	if e.Version.Major != 1 {
		version["required"] = true // a message without a version asks for 1.0
	}
	list := []object{
		version,
		query("timeout", "How long to wait, such as 500ms or 5s.", object{"type": "string", "default": "60s"}),
		query("exchange", "The exchange.", object{"type": "string", "default": target.Exchange}),
	}
	if target.Namespace != "" {
		namespace := query("namespace", "The namespace.", object{"type": "string", "enum": []string{target.Namespace}})
		namespace["required"] = true
		list = append(list, namespace)
	}
	if !deliveries[as].toAll {
		list = append(list, query("server", "The one server that is meant.", object{"type": "string"}))
	}
	return list
}

func hasRequired(m *rpc.MethodInfo) bool {
	for _, a := range m.Arguments {
		if !a.Optional {
			return true
		}
	}
	return false
}

// argumentsSchema describes the keyword arguments of a method.
func argumentsSchema(m *rpc.MethodInfo) object {
	properties, required := object{}, []string{}
	for _, a := range m.Arguments {
		properties[a.Name] = schemaOf(a.Type)
		if !a.Optional {
			required = append(required, a.Name)
		}
	}
	schema := object{"type": "object", "properties": properties, "additionalProperties": m.ExtraArguments}
	if len(required) > 0 { // an empty list is not valid
		schema["required"] = required
	}
	return schema
}

// schemaOf returns the schema of a type, given the word for it in introspection.
func schemaOf(word string) object {
	if element, is := strings.CutPrefix(word, "array of "); is {
		return object{"type": "array", "items": schemaOf(element)}
	}
	switch word {
	case "string", "integer", "number", "boolean", "object":
		return object{"type": word, "nullable": true}
	case "array":
		return object{"type": word, "items": object{}}
	default:
		return object{}
	}
}

// responseOf describes the successful response.
func responseOf(m *rpc.MethodInfo, as rpc.Delivery) (status string, response object) {
	content := func(kind string, schema object) object { return object{kind: object{"schema": schema}} }
	switch as {
	case rpc.DeliveryCast:
		return "202", object{"description": "A server accepted the message."}
	case rpc.DeliveryFanout:
		return "200", object{"description": "Which servers accepted the message.", "content": content("application/json", fanoutSchema())}
	case rpc.DeliveryGather:
		return "200", object{"description": "The results of all servers.", "content": content("application/json", gatherSchema(m))}
	case rpc.DeliveryMulticall:
		return "200", object{
			"description": "The items, each as {\"item\": …} on a line of its own. The last line is {\"end\": …}, or {\"error\": …} with a problem.",
			"content":     object{linesType: object{"schema": schemaOf(m.Result)}, eventsType: object{"schema": object{"type": "string"}}},
		}
	default:
		return "200", object{"description": "What the method returned.", "content": content("application/json", schemaOf(m.Result))}
	}
}

func array(items object) object { return object{"type": "array", "items": items} }

func replySchema(properties object) object {
	properties["server"] = object{"type": "string"}
	properties["skipped"] = object{"type": "boolean", "description": "The server drains, or cannot serve the message, and so missed nothing."}
	properties["error"] = object{"$ref": "#/components/schemas/Problem"}
	return object{"type": "object", "properties": properties, "required": []string{"server"}}
}

func fanoutSchema() object {
	return object{"type": "object", "required": []string{"accepted", "failed"}, "properties": object{
		"accepted": array(object{"type": "string"}), "failed": array(replySchema(object{})),
	}}
}

func gatherSchema(m *rpc.MethodInfo) object {
	return object{"type": "object", "required": []string{"replies"}, "properties": object{
		"replies": array(replySchema(object{"result": schemaOf(m.Result)})),
	}}
}

// problemSchema returns the schema of a problem.
func problemSchema() object {
	text := object{"type": "string"}
	return object{"type": "object", "required": []string{"type", "title", "status", "detail", "kind", "safe_to_retry"}, "properties": object{
		"type": text, "title": text, "status": object{"type": "integer"}, "detail": text, "kind": text,
		"safe_to_retry": object{"type": "boolean"}, "server": text, "instance_id": text, "method": text, "topic": text, "path": text,
		"implemented": array(object{"type": "object", "properties": object{"namespace": text, "version": text}}),
		"remote": object{"type": "object", "properties": object{
			"type": text, "message": text, "stack": array(text), "hops": array(text), "data": object{},
		}},
	}}
}
