package oslorpc

import (
	"context"

	"github.com/oslorpc/oslorpc/internal/client"
	"github.com/oslorpc/oslorpc/pkg/rpc"
)

// AutoCap is the version cap that follows the fleet; see [WithVersionCap].
const AutoCap = rpc.AutoCap

// WithVersionCap forbids messages of a later version than the cap, or of another major version.
// Such a message fails before any network use. The cap is a version, a name from
// [WithVersionAliases], or [AutoCap]. [None] is no cap.
//
// [AutoCap] follows the fleet. It is the latest version that all servers on the topic implement, of
// the message's namespace and major version. Held servers count. Draining servers, and servers that
// implement nothing of the namespace, do not. For a client that names a server, only the instances
// of that server count. The cap decides what [Client.CanSendVersion] says, which of a message's
// [Variants] is sent, and which fields of a typed message are dropped. It never forbids a message
// that some server can serve.
func WithVersionCap(version string) ClientOption {
	return clientOption(func(s *client.Settings) { s.Cap = version })
}

// WithVersionAliases gives names to versions for [WithVersionCap], such as {"epoxy": "6.4"}. The
// names are usually the releases of a program, as in the table behind upgrade_levels in Nova's
// configuration. The map must not be changed afterwards.
func WithVersionAliases(aliases map[string]string) ClientOption {
	return clientOption(func(s *client.Settings) { s.Aliases = aliases })
}

// CanSendVersion reports whether the version cap allows messages of the client's version, so that a
// program can choose what to send. It is can_send_version of oslo.messaging, with one difference: a
// client without a version counts as 1.0, as it does at servers. In oslo.messaging, a client with a
// cap and without a version can send nothing.
//
// Without a cap, or with a fixed cap, CanSendVersion uses no network. With [AutoCap], it reports
// whether all servers serve the version; it returns false if there are none. It waits until the
// servers are known, and for at most [DefaultAskTimeout] if neither ctx nor [WithTimeout] sets a
// deadline. The fleet may change between the answer and the message; [Variants] leave no such gap.
// An error means that the target or the options are wrong, or that discovery did not list the
// servers in time.
func (c *Client) CanSendVersion(ctx context.Context) (bool, error) { return c.engine.CanSend(ctx) }

// CanSendVersionOf is [Client.CanSendVersion] for another version than the client's. It returns
// what Prepare(WithVersion(version)).CanSendVersion would return.
func (c *Client) CanSendVersionOf(ctx context.Context, version string) (bool, error) {
	return c.engine.CanSendVersion(ctx, version)
}

// CapReason explains a version cap; see [rpc.CapReason]. Its method [rpc.CapReason.String] puts the
// explanation into one sentence.
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
