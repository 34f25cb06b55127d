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
	// mark precedes a hash, or is part of processMark. No plain name contains it.
	mark        = "--"
	processMark = mark + "process"
	// maxName is the maximum length of the name of a topic's services, in bytes. The name of its
	// processes is longer, and must be a DNS label, which has at most 63 bytes.
	maxName = 63 - len(processMark)
	// hashLength is the length of a hash: 100 bits in base 32. ACL policies rely on it: if an
	// operator grants access to one topic, no other topic may have the same service name.
	hashLength = 20
	// maxExchange is the maximum length of a plain exchange. It leaves room for a hash.
	maxExchange = maxName - len(prefix) - len("-") - len(mark) - hashLength
)

// serviceName returns the name of the services of a topic's instances: "oslorpc-EXCHANGE-TOPIC".
// Each topic has its own service name, since ACL policies apply to names.
//
// A plain topic consists of a-z, 0-9 and single hyphens between these. If the topic is not plain,
// or the name would be too long, the name is mapped to these characters and shortened, and ends
// with a hash: "oslorpc-EXCHANGE-TOPIC--HASH". A plain exchange has 1 to 23 characters a-z and 0-9.
// If the exchange is not plain, the name has a second hyphen before it, and a hash:
// "oslorpc--EXCHANGE-TOPIC--HASH". So only services of a plain exchange begin with
// "oslorpc-EXCHANGE-".
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

// processName returns the name of the services of processes that register under a topic. No topic
// has this name.
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
