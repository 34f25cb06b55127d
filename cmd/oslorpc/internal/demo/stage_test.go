package demo

import "testing"

func TestCommandLine(t *testing.T) {
	t.Parallel()
	got := commandLine([]string{"call", "n:=5", "a=b c", "", "it's", `{"a":1}`, "x/y_z-1.0@%+,"})
	if want := `call n:=5 'a=b c' '' 'it'\''s' '{"a":1}' x/y_z-1.0@%+,`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
