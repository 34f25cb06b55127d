package oslorpc

// Variant is one form of a message: the keyword arguments that it has at a version.
type Variant struct {
	// Version is the version that the message asks for in this form; [None] counts as 1.0.
	Version string
	// Args are the keyword arguments, as [Call] takes them.
	Args any
}

// At returns the form that a message has at a version; [None] counts as 1.0.
func At(version string, args any) Variant { return Variant{Version: version, Args: args} }

// Variants are the forms in which a message may be sent, in order of preference. They can be the
// args of [Call], [Client.Cast], [Client.Fanout], [Multicall] or [Gather]. They replace a chain of
// can_send_version checks in oslo.messaging:
//
//	oslorpc.Call[string](ctx, c, "resize", oslorpc.Variants{
//		oslorpc.At("1.2", resize12{Disk: d, Flavor: f}),
//		oslorpc.At("1.1", resize11{Disk: d}),
//	})
//
// The variant and the server are chosen together, from one state of the fleet, so the fleet cannot
// change in between. The first variant that some server can serve goes to a server that can serve
// it. In a fanout and a gather, each server gets the first variant that it can serve. Variants that
// a fixed cap forbids are left out. With [AutoCap], the variants that every server can serve come
// first, so that all callers use the same one until the last old server has left. The other
// variants are sent only if no server serves those, in ascending order of version.
//
// The version of the client's target is then ignored. All variants are checked and encoded before
// the first is sent. So a mistake in any variant shows at once, and not in the middle of an
// upgrade.
type Variants []Variant
