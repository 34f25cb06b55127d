package oslorpc

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/oslorpc/oslorpc/internal/delivery"
	"github.com/oslorpc/oslorpc/internal/discovery"
	"github.com/oslorpc/oslorpc/internal/dispatch"
	"github.com/oslorpc/oslorpc/internal/route"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// AutoCap is the version cap that follows the fleet; see [WithVersionCap].
const AutoCap = rpc.AutoCap

// WithVersionCap forbids messages of a later version than this, or of another major version, before any network use; [None] is no cap.
// It is a version, a name that [WithVersionAliases] knows, or [AutoCap].
//
// [AutoCap] follows the fleet: the latest version that all servers on the topic implement, of the message's namespace and major version.
// Held servers count, draining ones and those that implement nothing of the namespace do not; for a client that names a server, only
// its instances count. This cap decides what [Client.CanSendVersion] says, which of a message's [Variants] is sent, and which fields of a
// typed message are dropped. It never forbids a message that some server can take.
func WithVersionCap(version string) ClientOption {
	return clientOption(func(s *settings) { s.capText = version })
}

// WithVersionAliases names versions for [WithVersionCap], such as {"epoxy": "6.4"}: what the releases of a program implement, as the
// table behind upgrade_levels in Nova's configuration. The map must not be changed afterwards.
func WithVersionAliases(aliases map[string]string) ClientOption {
	return clientOption(func(s *settings) { s.aliases = aliases })
}

// CanSendVersion reports whether the version cap lets messages of the client's version through, so that a program can choose what to
// send: upstream's can_send_version. No version counts as 1.0, which is how servers read it; upstream, a client with a cap and no version
// can send nothing.
//
// Without a cap, or with a fixed one, it does not look at the network. With [AutoCap] it reports whether all servers serve the version,
// false if there are none; it waits until they are known, for [DefaultAskTimeout] if neither ctx nor [WithTimeout] bounds it. Between the
// answer and a message the fleet may change: [Variants] leave no such gap. The error is what is mistaken in the target or the options,
// or why the servers are not known.
func (c *Client) CanSendVersion(ctx context.Context) (bool, error) {
	if c.settings.err != nil {
		return false, c.settings.err
	}
	return c.canSend(ctx, c.settings.query.Version)
}

// CanSendVersionOf is [Client.CanSendVersion] for another version than the client's: what it would report after
// Prepare(WithVersion(version)).
func (c *Client) CanSendVersionOf(ctx context.Context, version string) (bool, error) {
	target := c.settings.target
	target.Version = version
	if err := target.ValidateClient(); err != nil {
		return false, err
	}
	if c.settings.err != nil { // it may be about the version that does not count now
		return c.Prepare(WithVersion(version)).CanSendVersion(ctx)
	}
	wanted, err := rpc.VersionOrDefault(version)
	if err != nil {
		return false, invalidUse("%v", err)
	}
	return c.canSend(ctx, wanted)
}

func (c *Client) canSend(ctx context.Context, version Version) (bool, error) {
	s := &c.settings
	if !s.cap.IsAuto() {
		return s.cap.Allows(version), nil
	}
	view, err := c.view(ctx)
	if err != nil {
		return false, err
	}
	return view.Common(route.Query{Namespace: s.query.Namespace, Version: version}, s.target.Server), nil
}

// view returns what is known of the topic, waiting for it if need be.
func (c *Client) view(ctx context.Context) (*route.View, error) {
	if c.transport.closed.Load() {
		return nil, errClosed()
	}
	topic := c.watched()
	if view := topic.Now(); view != nil {
		return view, nil
	}
	ctx, cancel := c.deadline(ctx, DefaultAskTimeout)
	defer cancel()
	return delivery.Known(ctx, topic)
}

// CapState says whether a version cap has a version.
type CapState string

// The states of a cap.
const (
	// CapNone: there is no cap.
	CapNone CapState = "none"
	// CapKnown: the cap has a version.
	CapKnown CapState = "known"
	// CapNoInstance: an automatic cap, and no server implements the namespace.
	CapNoInstance CapState = "no instance"
	// CapNoCommonVersion: an automatic cap, and some server implements the namespace in other major versions only.
	CapNoCommonVersion CapState = "no common version"
	// CapUntold: an automatic cap, and some server does not say what it implements, as at a static address.
	CapUntold CapState = "untold"
)

// CapReason explains a version cap.
type CapReason struct {
	// Rule is the rule that sets the cap: "none", "fixed", "alias" or "auto".
	Rule string
	// Alias is the name that stood for the version, if the rule is an alias.
	Alias string
	// Namespace and Major are the interface that it is about; the null namespace is empty.
	Namespace string
	Major     uint32
	// State says whether there is a version; only then Version is set.
	State   CapState
	Version Version
	// Holders are the servers that set an automatic cap: those that implement no later version, or no such major version.
	Holders []Instance
	// Since is when an automatic cap became what it is, as far as this process knows: it looks from the client's first message or question on.
	// Zero: not known, as from [AutoCapOf].
	Since time.Time
	// Next is what an automatic cap rises to when the holders are upgraded or leave; nil if it would not have a version.
	Next *Version
}

// Why explains the client's version cap for the namespace and the major version of its target. It waits, and fails, as CanSendVersion.
func (c *Client) Why(ctx context.Context) (*CapReason, error) {
	s := &c.settings
	if s.err != nil {
		return nil, s.err
	}
	r := &CapReason{Rule: "none", State: CapNone, Alias: s.cap.Alias(), Namespace: s.query.Namespace, Major: s.query.Version.Major}
	version, fixed := s.cap.Version()
	switch {
	case fixed:
		r.Rule, r.State, r.Version = "fixed", CapKnown, version
		if r.Alias != "" {
			r.Rule = "alias"
		}
	case s.cap.IsAuto():
		view, err := c.view(ctx)
		if err != nil {
			return nil, err
		}
		i := route.Interface{Namespace: r.Namespace, Major: r.Major}
		r.Since = c.watched().Follow(i)
		r.follow(view.Ceiling(i, s.target.Server))
	}
	return r, nil
}

// AutoCapOf explains what [AutoCap] is for clients that see these instances, of one topic: the cap of a namespace and a major version.
// It is for programs that look at a fleet, with [Transport.Instances], and send nothing to it.
func AutoCapOf(instances []Instance, namespace string, major uint32) *CapReason {
	list := make([]discovery.Instance, len(instances))
	for n, i := range instances {
		list[n] = i.discovered()
	}
	r := &CapReason{Namespace: namespace, Major: major}
	r.follow(route.CeilingOf(route.Interface{Namespace: namespace, Major: major}, list))
	return r
}

// follow takes in what the fleet says.
func (r *CapReason) follow(c *route.Ceiling) {
	r.Rule, r.State, r.Version = rpc.AutoCap, capStates[c.State], c.Version
	for _, e := range c.Holders {
		r.Holders = append(r.Holders, newInstance(e.Instance))
	}
	if c.Rises {
		r.Next = &c.Next
	}
}

var capStates = map[route.CeilingState]CapState{
	route.Known: CapKnown, route.Absent: CapNoInstance, route.Apart: CapNoCommonVersion, route.Untold: CapUntold,
}

// String explains the cap in a line.
func (r *CapReason) String() string {
	about := dispatch.NamespaceWord(r.Namespace)
	switch r.State {
	case CapNone:
		return "no cap: every version of the " + about + " may be sent"
	case CapNoInstance:
		return fmt.Sprintf("auto: no server implements the %s, so there is no version that all of them serve", about)
	case CapNoCommonVersion:
		return fmt.Sprintf("auto: no common version %d.x of the %s: %s only other major versions; %s", r.Major, about, r.holders("implements", "implement"), r.next())
	case CapUntold:
		return fmt.Sprintf("auto: no common version of the %s is known: %s not say what they implement", about, r.holders("does", "do"))
	}
	if r.Rule != rpc.AutoCap {
		return fmt.Sprintf("%s: %s, as the client is set up; to raise it, change that", strings.TrimSpace(r.Rule+" "+r.Alias), r.Version)
	}
	known := ""
	if !r.Since.IsZero() {
		known = fmt.Sprintf(", known for %s", time.Since(r.Since).Round(time.Second))
	}
	return fmt.Sprintf("auto: %s of the %s%s: %s no later version; %s",
		r.Version, about, known, r.holders("implements", "implement"), r.next())
}

// holders names the holders, with the verb that fits.
func (r *CapReason) holders(one, many string) string {
	const few = 5
	var names []string
	for _, i := range r.Holders[:min(few, len(r.Holders))] {
		names = append(names, fmt.Sprintf("%s (%s)", i.Server, i.Addr))
	}
	if more := len(r.Holders) - few; more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	if len(r.Holders) == 1 {
		return names[0] + " " + one
	}
	return strings.Join(names, ", ") + " " + many
}

func (r *CapReason) next() string {
	switch one := len(r.Holders) == 1; {
	case r.Next == nil && one:
		return "it rises when this one is upgraded"
	case r.Next == nil:
		return "it rises when these are upgraded"
	case one:
		return fmt.Sprintf("it rises to %s when this one leaves, or further when it is upgraded", r.Next)
	default:
		return fmt.Sprintf("it rises to %s when these leave, or further when they are upgraded", r.Next)
	}
}
