package httpfront_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/oslorpc/oslorpc/internal/testbin"
)

// described is the description of a method in an OpenAPI document.
type described struct {
	Post struct {
		Parameters []struct {
			Name     string
			Required bool
		}
		RequestBody struct {
			Required bool
			Content  map[string]struct {
				Schema struct {
					Properties           map[string]struct{ Type string }
					Required             []string
					AdditionalProperties bool
				}
			}
		}
		Responses map[string]any
	}
}

// TestOpenAPI checks that the document is valid, and contains the servers' descriptions of
// themselves.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	f := newFleet(t, []string{"a", "b"}, nil)
	validate, err := testbin.Find("openapi-validate", "tools/openapi", "github.com/getkin/kin-openapi/cmd/validate")
	if err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{"", "?version=1.0", "?namespace=legacy&version=2.0"} {
		got := f.do(t, "GET", "/v1/openapi/volumes"+query, "")
		path := filepath.Join(t.TempDir(), "openapi.json")
		if err := os.WriteFile(path, []byte(got.body), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), validate, path).CombinedOutput(); err != nil || got.status != 200 {
			t.Errorf("%s: %d: %v: %s\n%s", query, got.status, err, out, got.body)
		}
	}
	var doc struct {
		Info  struct{ Version string }
		Paths map[string]described
	}
	if err := json.Unmarshal([]byte(f.do(t, "GET", "/v1/openapi/volumes", "").body), &doc); err != nil {
		t.Fatal(err)
	}
	create, has := doc.Paths["/v1/call/volumes/create"]
	arguments := create.Post.RequestBody.Content["application/json"].Schema
	if !has || doc.Info.Version != "1.4" || arguments.Properties["size"].Type != "integer" || arguments.Properties["tags"].Type != "array" ||
		!slices.Equal(arguments.Required, []string{"name", "size"}) || arguments.AdditionalProperties || !create.Post.RequestBody.Required {
		t.Errorf("got %+v", create)
	}
	if _, has := doc.Paths["/v1/multicall/volumes/list"]; !has {
		t.Error("the method that yields items is missing")
	}
	if _, has := doc.Paths["/v1/call/volumes/list"]; has {
		t.Error("the method that yields items has one result")
	}
	if _, has := doc.Paths["/v1/call/volumes/old"]; has {
		t.Error("a method of another namespace is there")
	}
}
