package consul

// cursor is a position in the changes of a topic, by Consul's rules for the index of blocking
// queries.
type cursor struct {
	// next is the index for the next query. With 0, Consul answers at once.
	next uint64
	// last is the index of the last answer, even if an error followed.
	last uint64
}

// advance notes the index of an answer. It reports whether the answer may have news, and whether
// Consul lost data. The index only grows, unless Consul was restarted without its data or restored
// from an older copy. (A server that lags behind the server asked before looks the same.)
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

// fail notes that there was no answer. The next query is to be answered at once.
func (c *cursor) fail() { c.next = 0 }
