package novarpc

// Queue is what messages are sent to and consumed from: a topic, or one host on a topic. Make one
// with [Topic] or [QueueGetFor]. Queues are comparable.
//
// In nova.rpc it is a string, for a host "topic.host". Such a string cannot be taken
// apart again, since hosts have dots and topics may: "a.b.c" is host "b.c" on topic "a" as well as
// host "c" on "a.b". So a Queue keeps the two apart, and is joined only to be shown.
type Queue struct{ topic, host string }

// Topic returns the queue of a topic. Each message in it is for one of the hosts on the topic, or
// with a fanout for all.
func Topic(name string) Queue { return Queue{topic: name} }

// QueueGetFor returns the queue of one host on a topic. Without a host it is the topic's, as
// in Nova.
func QueueGetFor(topic, host string) Queue { return Queue{topic: topic, host: host} }

// String returns the name that the queue has in Nova, for people.
func (q Queue) String() string {
	if q.host == "" {
		return q.topic
	}
	return q.topic + "." + q.host
}
