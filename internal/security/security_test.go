package security

import (
	"crypto/tls"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/credentials/insecure"

	"github.com/oslorpc/oslorpc/internal/tlstest"
	"github.com/oslorpc/oslorpc/pkg/rpc"
	"github.com/oslorpc/oslorpc/pkg/trust"
)

// Each configuration that cannot work is refused, and the error names the file.
func TestOpenRefuses(t *testing.T) {
	authority := tlstest.New(t)
	files := authority.Local("localhost").Write(t.TempDir())
	other := authority.Local("localhost").Write(t.TempDir())
	dir := t.TempDir()
	noPEM := filepath.Join(dir, "text")
	if err := os.WriteFile(noPEM, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "missing")
	for name, test := range map[string]struct {
		config trust.Config
		says   []string
	}{
		"missing authority":          {trust.Config{CA: missing}, []string{missing, "there is no file"}},
		"missing certificate":        {trust.Config{Cert: missing, Key: files.Key}, []string{missing, "there is no file"}},
		"missing key":                {trust.Config{Cert: files.Cert, Key: missing}, []string{missing, "there is no file"}},
		"a directory":                {trust.Config{CA: dir}, []string{dir, "is a directory"}},
		"no PEM":                     {trust.Config{CA: noPEM}, []string{noPEM, "PEM"}},
		"certificate alone":          {trust.Config{Cert: files.Cert}, []string{files.Cert, "Key"}},
		"key alone":                  {trust.Config{Key: files.Key}, []string{files.Key, "Cert"}},
		"mismatch":                   {trust.Config{Cert: files.Cert, Key: other.Key}, []string{files.Cert, other.Key}},
		"TLS and files":              {trust.Config{TLS: &tls.Config{}, CA: files.CA}, []string{"TLS", "CA"}},
		"an unknown placeholder":     {trust.Config{Identity: "spiffe://cloud/{host}"}, []string{"{host}", "{exchange}, {topic} and {server}"}},
		"names without verification": {trust.Config{Identity: "spiffe://cloud/{topic}", TLS: &tls.Config{InsecureSkipVerify: true}}, []string{"InsecureSkipVerify"}},
		"a source and files":         {trust.Config{Source: &source{}, CA: files.CA}, []string{"Source", "files"}},
		"a source and TLS":           {trust.Config{Source: &source{}, TLS: &tls.Config{}}, []string{"TLS", "Source"}},
		"two sources":                {trust.Config{Source: &source{}, WorkloadAPI: "auto"}, []string{"Source", "WorkloadAPI"}},
		"the Workload API and files": {trust.Config{WorkloadAPI: "auto", CA: files.CA}, []string{"WorkloadAPI", "CA"}},
		"credentials and more":       {trust.Config{Credentials: insecure.NewCredentials(), CA: files.CA}, []string{"Credentials", "files"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(Text{Config: test.config, Variable: none}, slog.New(slog.DiscardHandler))
			if e, is := err.(*rpc.Error); !is || e.Kind != rpc.Invalid { //nolint:errorlint // It is not wrapped.
				t.Fatalf("got %v, want an error of kind Invalid", err)
			}
			for _, want := range test.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, which lacks %q", err, want)
				}
			}
		})
	}
}

// none is an environment without variables.
func none(string) string { return "" }
