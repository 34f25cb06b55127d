package interop

// gap explains why some cells cannot exist. An empty Short matches all languages.
type gap struct {
	name           string
	client, server string
	why            string
}

const noCancel = "a call that blocks a thread cannot be canceled"

// gaps lists the cells that cannot exist.
var gaps = []gap{
	{name: "gather", client: oslo, why: "oslo.messaging has no gather"},
	{name: "multicall", client: oslo, why: "oslo.messaging has no multicall: a method returns one result"},
	{name: "multicall", server: oslo, why: "oslo.messaging has no multicall: a method returns one result"},
	{name: "cancellation", client: oslo, why: "oslo.messaging cannot cancel a call"},
	{name: "cancellation", client: blocking, server: oslo, why: noCancel + ", and there is no multicall"},
}

// remarks lists the parts of cases that are not checked with some clients or servers. The rest of
// each case is checked.
var remarks = []gap{{
	name: "cancellation", client: blocking, why: noCancel + ": the cell cancels only a multicall",
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

// gap returns why a cell cannot exist, or "" if it can.
func (c Cell) gap() string {
	for _, g := range gaps {
		if g.fits(c) {
			return g.why
		}
	}
	return ""
}

// remark returns the part of a cell that is not checked, or "" if all of it is.
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
