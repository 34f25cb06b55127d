package oslorpc

import (
	"context"

	"github.com/oslorpc/oslorpc/internal/client"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// AutoCap is the version cap that follows the fleet; see [WithVersionCap].
const AutoCap = rpc.AutoCap

// WithVersionCap forbids messages of a later version than this, or of another major version, before
// any network use; [None] is no cap. It is a version, a name that [WithVersionAliases] knows, or
// [AutoCap].
//
// [AutoCap] follows the fleet: the latest version that all servers on the topic implement, of the
// message's namespace and major version. Held servers count, draining servers and servers that
// implement nothing of the namespace do not; for a client that names a server, only its instances
// count. This cap decides what [Client.CanSendVersion] says, which of a message's [Variants] is
// sent, and which fields of a typed message are dropped. It never forbids a message that some
// server can take.
func WithVersionCap(version string) ClientOption {
	return clientOption(func(s *client.Settings) { s.Cap = version })
}

// WithVersionAliases names versions for [WithVersionCap], such as {"epoxy": "6.4"}: what the
// releases of a program implement, as the table behind upgrade_levels in Nova's configuration. The
// map must not be changed afterwards.
func WithVersionAliases(aliases map[string]string) ClientOption {
	return clientOption(func(s *client.Settings) { s.Aliases = aliases })
}

// CanSendVersion reports whether the version cap lets messages of the client's version through, so
// that a program can choose what to send: upstream's can_send_version. No version counts as 1.0,
// which is how servers read it. Upstream, a client with a cap and no version can send nothing.
//
// Without a cap, or with a fixed one, it does not look at the network. With [AutoCap] it reports
// whether all servers serve the version, false if there are none. It waits until they are known,
// for [DefaultAskTimeout] if neither ctx nor [WithTimeout] bounds it. Between the answer and a
// message the fleet may change: [Variants] leave no such gap. The error is what is mistaken in the
// target or the options, or why the servers are not known.
func (c *Client) CanSendVersion(ctx context.Context) (bool, error) { return c.engine.CanSend(ctx) }

// CanSendVersionOf is [Client.CanSendVersion] for another version than the client's: what it would
// report after Prepare(WithVersion(version)).
func (c *Client) CanSendVersionOf(ctx context.Context, version string) (bool, error) {
	return c.engine.CanSendVersion(ctx, version)
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
func (c *Client) Why(ctx context.Context) (*CapReason, error) { return c.engine.Why(ctx) }
