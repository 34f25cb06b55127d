package consul

import (
	"crypto/sha256"
	"encoding/base32"
	"strconv"
	"strings"

	"github.com/oslorpc/oslorpc/pkg/registry"
)

const (
	prefix = "oslorpc-"
	// mark separates what no plain name contains: a hash, or processMark.
	mark        = "--"
	processMark = mark + "process"
	// maxName is the maximum length of the name of a topic's services, in bytes: the name of its
	// processes, which is longer, must be a label of DNS, which has 63 bytes.
	maxName = 63 - len(processMark)
	// hashLength is 100 bits in base 32. ACL policies rely on it: an operator grants one topic, and
	// no other name may lead to its services.
	hashLength = 20
	// maxExchange is the maximum length of a plain exchange, which leaves room for a hash.
	maxExchange = maxName - len(prefix) - len("-") - len(mark) - hashLength
)

// serviceName returns the name of a topic's services: "oslorpc-EXCHANGE-TOPIC". Each topic has a
// name of its own, since ACL policies go by names. A topic that is not plain, which means of
// a-z, 0-9 and single hyphens within, or that is too long, has as much of it as fits and a hash:
// "oslorpc-EXCHANGE-TOPIC--HASH". An exchange that is not plain, which means of 1 to 23 characters
// a-z and 0-9, comes second and with a hash: "oslorpc--EXCHANGE-TOPIC--HASH". So the prefix
// "oslorpc-EXCHANGE-" has the services of a plain exchange only.
func serviceName(t registry.Topic) string {
	plainExchange := isPlain(t.Exchange) && !strings.Contains(t.Exchange, "-") && len(t.Exchange) <= maxExchange
	name := prefix + t.Exchange + "-" + t.Name
	if plainExchange && isPlain(t.Name) && len(name) <= maxName {
		return name
	}
	start := prefix
	if !plainExchange {
		start += "-"
	}
	name = start + strings.Map(mapRune, t.Exchange+"-"+t.Name)
	sum := sha256.Sum256([]byte(strconv.Itoa(len(t.Exchange)) + ":" + t.Exchange + t.Name))
	hash := strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:hashLength])
	return name[:min(len(name), maxName-len(mark)-hashLength)] + mark + hash
}

// processName returns the name of the services of processes that announce themselves with a topic.
// No topic has it.
func processName(t registry.Topic) string { return serviceName(t) + processMark }

func isProcess(name string) bool { return strings.HasSuffix(name, processMark) }

// isPlain reports whether a name consists of a-z, 0-9 and single hyphens between these.
func isPlain(name string) bool {
	return name != "" && strings.Map(mapRune, name) == name && !strings.Contains("-"+name+"-", mark)
}

func mapRune(r rune) rune {
	switch {
	case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-':
		return r
	case r >= 'A' && r <= 'Z':
		return r - 'A' + 'a'
	default:
		return '-'
	}
}
