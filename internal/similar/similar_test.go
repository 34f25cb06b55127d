package similar

import "testing"

func TestName(t *testing.T) {
	t.Parallel()
	known := []string{"port_update", "resize", "build", "id", "on"}
	for name, want := range map[string]string{
		"PortUpdate": "port_update", "portupdate": "port_update", "port_updat": "port_update", "port_updates": "port_update",
		"prot_update": "port_update", "resice": "resize", "Build": "build", "buidl": "build", "in": "", "": "", "delete": "", "b": "",
	} {
		if got := Name(name, known); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}

func TestDidYouMean(t *testing.T) {
	t.Parallel()
	if got := DidYouMean("nam", []string{"name"}, "the method takes name"); got != `; did you mean "name"? The method takes name` {
		t.Error(got)
	}
	if got := DidYouMean("x", []string{"name"}, "it takes name"); got != "; it takes name" {
		t.Error(got)
	}
}
