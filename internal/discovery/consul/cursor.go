package consul

// cursor is the position in the changes of a list. It follows Consul's rules for the index of
// blocking queries.
type cursor struct {
	// next is the index for the next query. With 0, Consul answers at once.
	next uint64
	// last is the index of the last answer, even if an error followed.
	last uint64
}

// advance records the index of an answer. News is true if the list may have changed. Lost is true
// if Consul may have lost data: the index only grows, unless Consul was restarted without its data
// or restored from an older copy, or another server answered, which lags behind.
func (c *cursor) advance(index uint64) (news, lost bool) {
	// Consul would answer an index of 0 at once, again and again.
	index = max(index, 1)
	news, lost = c.next == 0 || index != c.last, index < c.last
	c.next, c.last = index, index
	if lost {
		c.next = 0
	}
	return news, lost
}

// fail records that a query failed. Consul then answers the next query at once.
func (c *cursor) fail() { c.next = 0 }
