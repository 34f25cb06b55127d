package discovery

import (
	"testing"

	"github.com/oslorpc/oslorpc/internal/leak"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestImplementationRoundTrip(t *testing.T) {
	for text, want := range map[string]rpc.Implementation{
		"=1.2":             {Version: rpc.Version{Major: 1, Minor: 2}},
		"base=2.0.3":       {Namespace: "base", Version: rpc.Version{Major: 2, Revision: 3}},
		"a%3Db%2Cc=1.0":    {Namespace: "a=b,c", Version: rpc.DefaultVersion},
		"%E2%98%83+x=10.0": {Namespace: "☃ x", Version: rpc.Version{Major: 10}},
	} {
		if got := FormatImplementation(want); got != text {
			t.Errorf("%+v is written %q, want %q", want, got, text)
		}
		if got, err := ParseImplementation(text); got != want || err != nil {
			t.Errorf("%q is read %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "1.2", "=", "=1", "%zz=1.0", "a=b=1.0"} {
		if got, err := ParseImplementation(text); err == nil {
			t.Errorf("%q is read %+v", text, got)
		}
	}
}

func FuzzParseImplementation(f *testing.F) {
	f.Add("base=1.2")
	f.Add("%3D=1.0")
	f.Fuzz(func(t *testing.T, text string) {
		i, err := ParseImplementation(text)
		if err != nil {
			return
		}
		if again, err := ParseImplementation(FormatImplementation(i)); again != i || err != nil {
			t.Errorf("%q is %+v, and read again %+v, %v", text, i, again, err)
		}
	})
}
