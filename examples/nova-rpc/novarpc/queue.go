package novarpc

// Queue is the destination of messages: a topic, or one host on a topic. Make one with [Topic] or
// [QueueGetFor]. Queues are comparable.
//
// In nova.rpc it is a string, for a host "topic.host". Such a string is ambiguous, since hosts have
// dots and topics may: "a.b.c" is host "b.c" on topic "a" as well as host "c" on "a.b". So a Queue
// keeps the two parts separate, and joins them only to be printed.
type Queue struct{ topic, host string }

// Topic returns the queue of a topic. A message to it goes to one of the hosts on the topic, or
// with a fanout to all.
func Topic(name string) Queue { return Queue{topic: name} }

// QueueGetFor returns the queue of one host on a topic. Without a host it returns the topic's, as
// in Nova.
func QueueGetFor(topic, host string) Queue { return Queue{topic: topic, host: host} }

// String returns the name that the queue has in Nova, for people.
func (q Queue) String() string {
	if q.host == "" {
		return q.topic
	}
	return q.topic + "." + q.host
}
