package main

import (
	"strings"
	"testing"

	"github.com/oslorpc/oslorpc/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestReport(t *testing.T) {
	for name, test := range map[string]struct {
		events []string
		want   []string // parts of the report
		last   string
	}{
		"pass, with a difference and a case left out": {
			[]string{
				`{"Action":"run","Package":"p","Test":"TestA"}`,
				`{"Action":"attr","Package":"p","Test":"TestA","Key":"left-out","Value":"A3"}`,
				`{"Action":"attr","Package":"p","Test":"TestA/A1","Key":"because","Value":"we are better"}`,
				`{"Action":"attr","Package":"p","Test":"TestA/A2","Key":"because","Value":"we are better"}`,
				`{"Action":"pass","Package":"p","Test":"TestA/A1"}`,
				`{"Action":"pass","Package":"p","Test":"TestA/A2"}`,
				`{"Action":"pass","Package":"p","Test":"TestA"}`,
				`{"Action":"pass","Package":"p"}`,
			},
			[]string{"  A1, A2\n      we are better\n", "exist: A3\n"},
			"2 passed, 0 failed",
		},
		"a case fails": {
			[]string{
				`{"Action":"pass","Package":"p","Test":"TestA/A1"}`,
				`{"Action":"output","Package":"p","Test":"TestA/A2","Output":"it is wrong\n"}`,
				`{"Action":"fail","Package":"p","Test":"TestA/A2"}`,
				`{"Action":"fail","Package":"p","Test":"TestA"}`,
				`{"Action":"fail","Package":"p"}`,
			},
			[]string{"FAILED p TestA/A2\nit is wrong\n"},
			"1 passed, 1 failed",
		},
		"a slash in a name": {
			[]string{
				`{"Action":"pass","Package":"p","Test":"TestA/x1/t"}`,
				`{"Action":"pass","Package":"p","Test":"TestA"}`,
				`{"Action":"pass","Package":"p"}`,
			},
			nil,
			"1 passed, 0 failed",
		},
		"the table fails": {
			[]string{
				`{"Action":"pass","Package":"p","Test":"TestA/A1"}`,
				`{"Action":"output","Package":"p","Test":"TestA","Output":"the row A2 is missing\n"}`,
				`{"Action":"fail","Package":"p","Test":"TestA"}`,
				`{"Action":"fail","Package":"p"}`,
			},
			[]string{"FAILED p TestA\nthe row A2 is missing\n"},
			"1 passed, 1 failed",
		},
		"a case is skipped": {
			[]string{`{"Action":"skip","Package":"p","Test":"TestA"}`, `{"Action":"pass","Package":"p"}`},
			[]string{"FAILED p TestA\n"},
			"0 passed, 1 failed",
		},
		"a case never ends": {
			[]string{`{"Action":"run","Package":"p","Test":"TestA"}`, `{"Action":"fail","Package":"p"}`},
			[]string{"FAILED p TestA\n"},
			"0 passed, 1 failed",
		},
		"something fails after all tests": {
			[]string{
				`{"Action":"pass","Package":"p","Test":"TestA"}`,
				`{"Action":"output","Package":"p","Output":"leak\n"}`,
				`{"Action":"fail","Package":"p"}`,
			},
			[]string{"FAILED p \nleak\n"},
			"1 passed, 1 failed",
		},
		"it cannot be built": {
			[]string{
				`{"ImportPath":"p [p.test]","Action":"build-output","Output":"syntax error\n"}`,
				`{"ImportPath":"p [p.test]","Action":"build-fail"}`,
				`{"Action":"fail","Package":"p"}`,
			},
			[]string{"syntax error\n"},
			"0 passed, 2 failed",
		},
		"nothing": {nil, nil, "0 passed, 0 failed"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := read(strings.NewReader(strings.Join(test.events, "\n")))
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			r.print(&out)
			for _, part := range test.want {
				if !strings.Contains(out.String(), part) {
					t.Errorf("the report lacks %q:\n%s", part, &out)
				}
			}
			lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
			if lines[len(lines)-1] != test.last {
				t.Errorf("the last line is %q, want %q", lines[len(lines)-1], test.last)
			}
		})
	}
}

func TestReadRefusesWhatIsNoEvent(t *testing.T) {
	if _, err := read(strings.NewReader("go: no such tool\n")); err == nil || !strings.Contains(err.Error(), "no such tool") {
		t.Errorf("got %v", err)
	}
}

// A run without any tests must not pass.
func TestRunFailsWithoutTests(t *testing.T) {
	var out strings.Builder
	passed, err := run(t.Context(), &out, []string{"github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"})
	if err != nil || passed {
		t.Errorf("passed is %v, %v:\n%s", passed, err, &out)
	}
}
