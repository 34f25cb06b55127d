package interop

// gap is why cells cannot exist. An empty Short stands for all.
type gap struct {
	name           string
	client, server string
	why            string
}

const noCancel = "a call that blocks a thread cannot be canceled"

// gaps are the cells that cannot exist.
var gaps = []gap{
	{name: "gather", client: oslo, why: "oslo.messaging has no gather"},
	{name: "multicall", client: oslo, why: "oslo.messaging has no multicall: a method returns one result"},
	{name: "multicall", server: oslo, why: "oslo.messaging has no multicall: a method returns one result"},
	{name: "cancellation", client: oslo, why: "oslo.messaging has no way to break off a call"},
	{name: "cancellation", client: blocking, server: oslo, why: noCancel + ", and there is no multicall"},
}

// remarks are what a case leaves out with a client, though the rest of it is checked.
var remarks = []gap{{
	name: "cancellation", client: blocking, why: noCancel + ": the cell breaks off a multicall, as the others do too",
}, {
	name: "cancellation", server: oslo,
	why: "oslo.messaging does not tell a method that its caller has left: the cell checks the caller",
}, {
	name: "deadline", server: oslo,
	why: "oslo.messaging does not tell a method that its caller has left: the cell checks the caller",
}, {
	name: "fanout", client: oslo,
	why: "oslo.messaging does not report on a fanout: the cell checks that all servers run it",
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
	fits := func(short string, l *Language) bool { return short == "" || l.is(short) }
	return g.name == c.Case.Name && fits(g.client, c.Client) && fits(g.server, c.Server)
}
