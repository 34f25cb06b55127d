package novarpc

import (
	"slices"

	"github.com/oslorpc/oslorpc/pkg/oslorpc"
)

// consumers are the consumers of one connection by topic, in the order in which the topics came.
//
// A server of oslorpc is reached by its topic, by its name and by fanout, so the consumers of a
// topic become one server. It may be reachable in more ways than it has consumers for, as a server
// of oslo.messaging is. But it must not get the work of the topic without a consumer for it.
type consumers []*consumer

// consumer has the consumers of one topic.
type consumer struct {
	topic string
	proxy any
	ways  []way
}

// way is how messages reach a consumer, in words.
type way string

const (
	byTopic  way = "the topic"
	byHost   way = "the host"
	byFanout way = "fanout"
)

func (q Queue) way(fanout bool) way {
	switch {
	case fanout:
		return byFanout
	case q.host != "":
		return byHost
	default:
		return byTopic
	}
}

// add adds the consumer of a queue to its topic.
func (cs *consumers) add(q Queue, proxy any, w way) error {
	i := slices.IndexFunc(*cs, func(c *consumer) bool { return c.topic == q.topic })
	if i < 0 {
		*cs = append(*cs, &consumer{topic: q.topic, proxy: proxy, ways: []way{w}})
		return nil
	}
	c := (*cs)[i]
	switch {
	case c.proxy != proxy:
		return invalid(oslorpc.Invalid, "the consumers of topic %q have different proxies, %T and %T: one proxy serves a topic in all ways; "+
			"for a second one, create another connection", c.topic, c.proxy, proxy)
	case slices.Contains(c.ways, w):
		return invalid(oslorpc.Invalid, "topic %q has a consumer by %s already", c.topic, w)
	}
	c.ways = append(c.ways, w)
	return nil
}

// check returns an error if the consumers cannot be served under a host name.
func (cs *consumers) check(host string) error {
	if len(*cs) == 0 {
		return invalid(oslorpc.Invalid, "there is nothing to consume: create a consumer first")
	}
	for _, c := range *cs {
		for _, other := range *cs {
			if c.topic == QueueGetFor(other.topic, host).String() {
				return invalid(oslorpc.Invalid, "%q is consumed as a topic, but is the queue of host %q on topic %q: make it with QueueGetFor(%q, %q)",
					c.topic, host, other.topic, other.topic, host)
			}
		}
		if !slices.Contains(c.ways, byTopic) {
			return invalid(oslorpc.Invalid, "topic %q is consumed by %s but not by the topic itself, which would bring its messages all the same: "+
				"create a consumer for Topic(%q), or use a topic of its own", c.topic, c.ways[0], c.topic)
		}
	}
	return nil
}
