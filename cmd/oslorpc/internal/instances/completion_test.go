package instances

import "testing"

func TestPlainWords(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"demo", "nova-compute", "q_l3.plugin", "größe", "node1.example", "a/b", "a@b", "a+b,c=d%e", "_x", "1"} {
		if !isPlainWord(name) {
			t.Errorf("%q is not completed", name)
		}
	}
	for _, name := range []string{
		"", "-x", "--output", "=x", "~x", "/x", "a b", "a:b", "a\tb", "a\nb", "a\x00b", "a\u202eb", "a\xffb", "$x", "a$x", "a$(b)", "a`b`", "a;b", "a|b", "a&b",
		"a>b", "a<b", "a'b", `a"b`, `a\b`, "a!b", "a*b", "a?b", "a[b]", "a{b}", "a#b", "a^b", "a~b", "a\u00a0b",
	} {
		if isPlainWord(name) {
			t.Errorf("%q is completed", name)
		}
	}
}
