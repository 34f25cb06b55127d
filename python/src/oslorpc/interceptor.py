"""Code around messages: what programs give a transport, and what it sees."""

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
    """What a connection says of the process at its other end: its address, and what it proved.

    ``via`` is a gateway that forwarded the message, and is trusted to state whose it is: then the peer is the original
    caller.
    """

    addr: str = ""
    identity: Identity = NOBODY
    via: Peer | None = None


@dataclasses.dataclass(slots=True)
class Message:
    """A message as interceptors see it. Change nothing but the metadata, and that only at clients.

    ``delivery`` is call, cast, fanout, gather or multicall; at servers a copy of a fanout is a cast, and one of
    a gather a call; ``inspect`` is a question to the process, Ping or GetInfo, and has no topic. ``server``,
    ``instance_id`` and ``addr`` are the instance: at a client from ``attempt`` on, at a server without an
    address. ``attempt`` counts from 1; it is 0 in ``send`` and at servers. ``caller`` and ``metadata`` are
    the sender's word, which nothing proves; ``peer`` is what the connection proves. ``service`` is the full
    name of a typed service, and empty for other messages.
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
        """The version that the message asks for; at a client empty if it asks for none."""
        return self.target.version or ""


Around = Callable[[Message], AbstractContextManager[Any] | AbstractAsyncContextManager[Any]]


@dataclasses.dataclass(frozen=True, slots=True)
class Interceptor:
    """Code around the messages of a transport. Each part may be None. The first interceptor is the outermost.

    ``send``, ``attempt`` and ``run`` return context managers: ``send`` for the whole of a message at a client,
    ``attempt`` for one attempt to hand it to an instance, ``run`` for a method at a server. An exception before
    the message was sent, or before the method ran, refuses it. Later ones take the place of the outcome.
    ``accept`` is called at a server before a message is accepted. What it raises refuses the message.
    Context variables that it sets reach ``run`` and the method. It is called on the event loop of the servers,
    and must not block; it may be ``async``.
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
    """Return the error that an interceptor put in the place of an outcome.

    The outcome decides whether the message may have run.
    """
    safe = isinstance(failure, Error) and failure.safe_to_retry
    if isinstance(e, Error):
        if e.not_delivered and not safe:
            return Error(Kind.OUTCOME_UNKNOWN, e.message)
        e.safe_to_retry = safe
        return e
    kind = Kind.ACCESS_DENIED if safe else Kind.OUTCOME_UNKNOWN
    return Error(kind, str(e) or type(e).__name__, safe_to_retry=safe)
