package typed

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	oslorpcv1 "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// option returns an extension of a declaration's options, or nil if it is not set. It reads the
// encoded form, because in descriptors that were not generated the extension may have another type
// or may not be decoded.
func option[T proto.Message](declared protoreflect.Descriptor, extension protoreflect.ExtensionType) (rules T, err error) {
	options := declared.Options()
	if options == nil || !options.ProtoReflect().IsValid() {
		return rules, nil
	}
	encoded, err := proto.MarshalOptions{AllowPartial: true}.Marshal(options)
	if err != nil || len(encoded) == 0 {
		return rules, err
	}
	decoded := extension.TypeDescriptor().ContainingMessage()
	fresh := options.ProtoReflect().Type().New()
	if fresh.Descriptor().FullName() != decoded.FullName() {
		return rules, fmt.Errorf("options are of type %s", fresh.Descriptor().FullName())
	}
	if err := (proto.UnmarshalOptions{AllowPartial: true}).Unmarshal(encoded, fresh.Interface()); err != nil {
		return rules, fmt.Errorf("options: %w", err)
	}
	if !proto.HasExtension(fresh.Interface(), extension) {
		return rules, nil
	}
	return proto.GetExtension(fresh.Interface(), extension).(T), nil
}

// rule says in which version a field or an enum value appeared. The zero value is for elements
// without a rule.
type rule struct {
	since rpc.Version
	drop  bool
}

// ruleOf reads the options of a field or an enum value.
func ruleOf(declared protoreflect.Descriptor, extension protoreflect.ExtensionType) (rule, error) {
	rules, err := option[*oslorpcv1.ElementRules](declared, extension)
	if err != nil || rules == nil {
		return rule{}, err
	}
	var r rule
	switch p := rules.GetOlderPeers(); p {
	case oslorpcv1.OlderPeers_OLDER_PEERS_UNSPECIFIED, oslorpcv1.OlderPeers_OLDER_PEERS_FAIL:
	case oslorpcv1.OlderPeers_OLDER_PEERS_DROP:
		r.drop = true
	default:
		return rule{}, fmt.Errorf("older_peers %d is unknown", p)
	}
	if rules.GetSince() == "" {
		if r.drop {
			return rule{}, fmt.Errorf("older_peers needs since: say in which version it appeared")
		}
		return rule{}, nil
	}
	if r.since, err = rpc.ParseVersion(rules.GetSince()); err != nil {
		return rule{}, fmt.Errorf("since: %w", err)
	}
	return r, nil
}

// later reports whether v is later than w.
func later(v, w rpc.Version) bool {
	if v.Major != w.Major {
		return v.Major > w.Major
	}
	if v.Minor != w.Minor {
		return v.Minor > w.Minor
	}
	return v.Revision > w.Revision
}

func latest(v, w rpc.Version) rpc.Version {
	if later(v, w) {
		return v
	}
	return w
}
