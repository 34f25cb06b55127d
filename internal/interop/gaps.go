package interop

// gap is why cells cannot exist. An empty Short stands for all.
type gap struct {
	name           string
	client, server string
	why            string
}

// gaps are the cells that cannot exist.
var gaps = []gap{}

// remarks are what a case leaves out with a client, though the rest of it is checked.
var remarks = []gap{{
	name: "cancellation", client: blocking,
	why: "a call that blocks a thread cannot be canceled: the cell breaks off a multicall, as the others do too",
}}

// Gap returns why a cell cannot exist, "" if it can.
func (c Cell) gap() string {
	for _, g := range gaps {
		if g.fits(c) {
			return g.why
		}
	}
	return ""
}

// remark returns what a cell leaves out, "" for nothing.
func (c Cell) remark() string {
	for _, g := range remarks {
		if g.fits(c) {
			return g.why
		}
	}
	return ""
}

func (g *gap) fits(c Cell) bool {
	fits := func(short string, l *Language) bool { return short == "" || short == l.Short }
	return g.name == c.Case.Name && fits(g.client, c.Client) && fits(g.server, c.Server)
}
