// The validator of OpenAPI documents, for the tests of the gateway's.
module github.com/oslorpc/oslorpc/tools/openapi

go 1.26

tool github.com/getkin/kin-openapi/cmd/validate

require (
	github.com/getkin/kin-openapi v0.140.0 // indirect
	github.com/go-openapi/jsonpointer v0.22.5 // indirect
	github.com/go-openapi/swag/jsonname v0.25.5 // indirect
	github.com/oasdiff/yaml v0.1.0 // indirect
	github.com/oasdiff/yaml3 v0.0.13 // indirect
	github.com/santhosh-tekuri/jsonschema/v6 v6.0.2 // indirect
	golang.org/x/text v0.14.0 // indirect
)
