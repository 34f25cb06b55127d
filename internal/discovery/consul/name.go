package consul

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/oslorpc/oslorpc/internal/discovery"
)

const (
	prefix = "oslorpc-"
	// processName is the name of the services that stand for processes. No topic has it: names of
	// topics have more parts.
	processName = prefix + "process"
	// maxLabel is how long a label of DNS may be.
	maxLabel   = 63
	hashDigits = 8
)

// serviceName returns the name of a topic's services: "oslorpc-EXCHANGE-TOPIC", a label of DNS.
// Where that cannot hold the names, or could stand for others too, a hash of them is appended.
// Names that collide nevertheless are told apart by their metadata.
func serviceName(t discovery.Topic) string {
	given := t.Exchange + "-" + t.Name
	name := strings.TrimRight(strings.Map(mapRune, given), "-")
	plain := name == given && t.Exchange != "" && !strings.Contains(t.Exchange, "-")
	if plain && len(prefix+name) <= maxLabel {
		return prefix + name
	}
	sum := sha256.Sum256([]byte(t.Exchange + "\x00" + t.Name))
	most := maxLabel - len(prefix) - 1 - hashDigits
	return prefix + name[:min(len(name), most)] + "-" + hex.EncodeToString(sum[:])[:hashDigits]
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
