package typed

import (
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"

	oslorpcv1 "github.com/oslorpc/oslorpc/pkg/api/oslorpc/v1"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// empty is the result type of methods that are answered before they have a result.
const empty = "google.protobuf.Empty"

// compileMethod reads the options of a method and of its messages. For the result, it only checks
// the options, because a server sends only what was requested.
func compileMethod(s *Service, declared protoreflect.MethodDescriptor, plans *compiler) (*Method, error) {
	m := &Method{
		Service:       s,
		Name:          string(declared.Name()),
		Path:          "/" + s.Name + "/" + string(declared.Name()),
		Since:         beginning(s),
		ClientStreams: declared.IsStreamingClient(),
		ServerStreams: declared.IsStreamingServer(),
		input:         declared.Input(),
	}
	if err := m.read(declared); err != nil {
		return nil, fmt.Errorf("method %s: %w", m.Name, err)
	}
	var err error
	if m.plan, err = plans.compile(declared.Input()); err != nil {
		return nil, err
	}
	if _, err = plans.compile(declared.Output()); err != nil {
		return nil, err
	}
	return m, nil
}

// read reads the method's own options.
func (m *Method) read(declared protoreflect.MethodDescriptor) error {
	rules, err := option[*oslorpcv1.MethodRules](declared, oslorpcv1.E_Method)
	if err != nil || rules == nil {
		return err
	}
	if rules.GetSince() != "" {
		if m.Since, err = m.Service.since("since", rules.GetSince()); err != nil {
			return err
		}
	}
	if rules.GetDeprecatedSince() != "" {
		if m.Deprecated, err = m.Service.since("deprecated_since", rules.GetDeprecatedSince()); err != nil {
			return err
		}
		if later(m.Since, m.Deprecated) {
			return fmt.Errorf("deprecated_since %q is earlier than the method's since, %v", rules.GetDeprecatedSince(), m.Since)
		}
	}
	m.Delivery, err = delivery(declared, rules.GetDelivery())
	return err
}

// since parses the version in an option of a method. It must not be later than the service's
// version, nor earlier than the beginning of its major version.
func (s *Service) since(option, text string) (rpc.Version, error) {
	v, err := rpc.ParseVersion(text)
	switch {
	case err != nil:
		return v, fmt.Errorf("%s: %w", option, err)
	case later(v, s.Version):
		return v, fmt.Errorf("%s %q is later than the version of the service, %v", option, text, s.Version)
	default:
		return latest(v, beginning(s)), nil
	}
}

// beginning returns the first version of the service's major version.
func beginning(s *Service) rpc.Version { return rpc.Version{Major: s.Version.Major} }

func delivery(declared protoreflect.MethodDescriptor, d oslorpcv1.Delivery) (Delivery, error) {
	var chosen Delivery
	switch d {
	case oslorpcv1.Delivery_DELIVERY_UNSPECIFIED, oslorpcv1.Delivery_DELIVERY_CALL:
		return Call, nil
	case oslorpcv1.Delivery_DELIVERY_CAST:
		chosen = Cast
	case oslorpcv1.Delivery_DELIVERY_FANOUT:
		chosen = Fanout
	default:
		return Call, fmt.Errorf("delivery %d is unknown", d)
	}
	if declared.IsStreamingClient() || declared.IsStreamingServer() {
		return Call, fmt.Errorf("%v may not stream: it has no result", d)
	}
	if declared.Output().FullName() != empty {
		return Call, fmt.Errorf("%v has no result: the method must return %s, not %s", d, empty, declared.Output().FullName())
	}
	return chosen, nil
}
