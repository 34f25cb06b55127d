"""Interceptors, which are code that programs run around messages, and the view of messages that
they get.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any

from oslorpc import errors
from oslorpc.errors import Error, Kind
from oslorpc.identity import NOBODY, Identity
from oslorpc.target import Target

_KEPT = (Kind.ACCESS_DENIED, Kind.INVALID_TARGET, Kind.BAD_ARGUMENTS, Kind.TOO_LARGE)


@dataclasses.dataclass(frozen=True, slots=True)
class Peer:
    """The process at the other end of a connection: its address, and the identity that it proved.

    If a trusted gateway forwarded the message, ``via`` is the gateway, and the peer is the original
    caller.
    """

    addr: str = ""
    identity: Identity = NOBODY
    via: Peer | None = None


@dataclasses.dataclass(slots=True)
class Message:
    """A message in the view of interceptors. Interceptors may change only the metadata, and only at
    clients.

    ``delivery`` is call, cast, fanout, gather or multicall. At servers, a copy of a fanout is a
    cast, and a copy of a gather is a call. ``inspect`` is an introspection request to the process,
    Ping or GetInfo, and has no topic. ``server``, ``instance_id`` and ``addr`` are the instance: at
    a client from ``attempt`` on, at a server without an address. ``attempt`` counts from 1; it is 0
    in ``send`` and at servers. ``caller`` and ``metadata`` are claims of the sender without proof;
    ``peer`` is what the connection proves. ``service`` is the full name of a typed service, and
    empty for other messages.
    """

    target: Target
    method: str
    delivery: str
    monitored: bool = False
    id: str = ""
    order_key: str = ""
    server: str = ""
    instance_id: str = ""
    addr: str = ""
    attempt: int = 0
    caller: str = ""
    peer: Peer = Peer()
    metadata: dict[str, str] = dataclasses.field(default_factory=dict)
    service: str = ""

    @property
    def version(self) -> str:
        """The version that the message asks for.

        At a client, it is empty if the message asks for none.
        """
        return self.target.version or ""


Around = Callable[[Message], AbstractContextManager[Any] | AbstractAsyncContextManager[Any]]


@dataclasses.dataclass(frozen=True, slots=True)
class Interceptor:
    """Code around the messages of a transport. Each part may be None. The first interceptor is the
    outermost.

    ``send``, ``attempt`` and ``run`` return context managers: ``send`` around the whole delivery of
    a message at a client, ``attempt`` around one attempt to send it to an instance, ``run`` around
    a method at a server. An exception before the message was sent, or before the method ran,
    refuses the message. A later exception replaces the outcome. ``accept`` is called at a server
    before a message is accepted. If it raises an exception, the message is refused. Context
    variables that it sets reach ``run`` and the method. It is called on the event loop of the
    servers, and must not block; it may be ``async``.
    """

    send: Around | None = None
    attempt: Around | None = None
    accept: Callable[[Message], Any] | None = None
    run: Around | None = None


def refusal(e: Exception) -> Error:
    """Return the error for a message that an interceptor refused: it did not run."""
    if isinstance(e, TimeoutError) or (isinstance(e, Error) and e.kind in (Kind.REFUSED, Kind.TIMEOUT)):
        return errors.refused(errors.DECLINED, e.message if isinstance(e, Error) else str(e))
    if isinstance(e, Error):
        kind = e.kind if e.kind in _KEPT else Kind.ACCESS_DENIED
        return Error(kind, e.message, path=e.path, safe_to_retry=True)
    return Error(Kind.ACCESS_DENIED, str(e) or type(e).__name__, safe_to_retry=True)


def replaced(e: Exception, failure: BaseException | None) -> Exception:
    """Return the error for an outcome that an interceptor replaced.

    The original outcome decides whether the message may have run.
    """
    safe = isinstance(failure, Error) and failure.safe_to_retry
    if isinstance(e, Error):
        if e.not_delivered and not safe:
            return Error(Kind.OUTCOME_UNKNOWN, e.message)
        e.safe_to_retry = safe
        return e
    kind = Kind.ACCESS_DENIED if safe else Kind.OUTCOME_UNKNOWN
    return Error(kind, str(e) or type(e).__name__, safe_to_retry=safe)
