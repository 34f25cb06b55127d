"""The original callers of messages that gateways forward.

A server believes only gateways that it trusts.
"""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.message import DecodeError

from oslorpc import policy
from oslorpc.errors import Error, Kind, invalid
from oslorpc.identity import NOBODY, Identity
from oslorpc.interceptor import Peer
from oslorpc.v1 import rpc_pb2 as pb

_MAX_SIZE, _MAX_NAMES, _MAX_GATEWAYS = 8 << 10, 64, 8  # limits of a named caller


class Gateways:
    """The gateways that a server trusts."""

    def __init__(self, patterns: Sequence[str]) -> None:
        mistakes: list[str] = []
        policy.check_callers(list(patterns), lambda _, why: mistakes.append(why))
        if policy.ANYONE in patterns:
            mistakes.append(f'"{policy.ANYONE}" would believe every caller: name the gateways')
        if mistakes:
            raise invalid(f"the trusted gateways (gateways in the transport URL): {mistakes[0]}")
        self._rule = policy.Rule("gateways", patterns, {}, None, None)

    def believes(self, identity: Identity) -> bool:
        """Whether a caller is a trusted gateway."""
        return self._rule.knows([policy.folded(name) for name in identity.names])


def original(stated: pb.Caller, gateway: Peer) -> Peer:
    """Return the caller that a gateway names."""
    names = tuple(stated.names)
    return Peer(stated.address, Identity("gateway", names) if names else NOBODY, gateway)


def check(stated: pb.Caller) -> None:
    """Refuse a description of a caller that is larger than a gateway sends."""
    large = stated.ByteSize() > _MAX_SIZE
    if large or len(stated.names) > _MAX_NAMES or len(stated.gateways) > _MAX_GATEWAYS:
        raise _malformed("is larger than what gateways send")


def parse(encoded: bytes) -> pb.Caller:
    """Decode a caller from headers."""
    if len(encoded) > _MAX_SIZE:
        raise _malformed("is larger than what gateways send")
    try:
        return pb.Caller.FromString(encoded)
    except DecodeError:
        raise _malformed("is malformed") from None


def _malformed(what: str) -> Error:
    return Error(Kind.INVALID_TARGET, f"`caller` {what}: leave it out", safe_to_retry=True)
