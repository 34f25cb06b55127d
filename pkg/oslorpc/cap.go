package oslorpc

import (
	"context"

	"github.com/oslorpc/oslorpc/internal/delivery"
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

// CapReason explains a version cap; see [rpc.CapReason].
type CapReason = rpc.CapReason

// The rules that set a cap; see package rpc for what each means.
const (
	CapRuleNone  = rpc.CapRuleNone
	CapRuleFixed = rpc.CapRuleFixed
	CapRuleAlias = rpc.CapRuleAlias
	CapRuleAuto  = rpc.CapRuleAuto
)

// The states of a cap; see package rpc for what each means.
const (
	CapNone            = rpc.CapNone
	CapKnown           = rpc.CapKnown
	CapNoInstance      = rpc.CapNoInstance
	CapNoCommonVersion = rpc.CapNoCommonVersion
	CapUnreported      = rpc.CapUnreported
)

// Why explains the client's version cap for the namespace and the major version of its target. It
// waits and fails as [Client.CanSendVersion] does.
func (c *Client) Why(ctx context.Context) (*CapReason, error) {
	s := &c.settings
	if s.err != nil {
		return nil, s.err
	}
	i := rpc.Interface{Namespace: s.query.Namespace, Major: s.query.Version.Major}
	if !s.cap.IsAuto() {
		return s.cap.Reason(i), nil
	}
	view, err := c.view(ctx)
	if err != nil {
		return nil, err
	}
	since := c.watched().Follow(i)
	r := view.Ceiling(i, s.target.Server).Reason(i)
	r.Since = since
	return r, nil
}
