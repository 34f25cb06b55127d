"""The common part of the blocking and the asyncio sender of typed messages.

Typed messages are RPCs of a program's own services, with headers for all other fields.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from google.protobuf.message import DecodeError

from oslorpc import delivery, errors, payload
from oslorpc.clientcore import CALL_TIMEOUT, CAST_TIMEOUT, ClientCore, unreserved
from oslorpc.delivery import Plan
from oslorpc.errors import Error, Kind
from oslorpc.fanout import Delivered, Report
from oslorpc.fleet import Entry, Topic
from oslorpc.target import Target, check_name
from oslorpc.typed.message import Headers, TypedMessage, escape
from oslorpc.typed.service import CALL, CAST, FANOUT, Method
from oslorpc.versions import Version

Read = Callable[[bytes], Any]
C = TypeVar("C", bound=ClientCore[Any])


@dataclasses.dataclass(slots=True)
class Draft:
    """A checked typed message, before the versions at which it can be sent are known."""

    method: Method
    content: Any
    kind: str
    target: Target
    deadline: float
    fail_fast: bool
    topic: Topic
    versions: list[Version]
    asks: bool  # the versions depend on the servers of the topic


class SenderCore(Generic[C]):
    """Makes typed messages for a client."""

    def __init__(self, client: C, ctxt: Mapping[str, Any] | None) -> None:
        self._client, self._transport = client, client._transport
        self._plans: dict[tuple[str, Version, bool], Plan] = {}
        common: list[tuple[str, str | bytes]] = []
        if client.options.order_key is not None:
            check_name("order key", client.options.order_key)
            common.append(("oslorpc-order-key", escape(client.options.order_key)))
        if ctxt:
            common.append(("oslorpc-context-bin", payload.encode(dict(ctxt), Kind.BAD_ARGUMENTS)))
        self._common: Headers = tuple(common)

    def _draft(self, method: Method, content: Any, timeout: float | None, fail_fast: bool | None) -> Draft:
        """Check a message, and return it as a draft."""
        client, transport = self._client, self._transport
        transport.check()
        given, kind = client.target, method.delivery
        if kind == CAST and given.fanout:
            kind = FANOUT
        target = given.replace(
            topic=given.topic or method.service.topic or None,
            namespace=method.service.namespace or None if given.namespace is None else given.namespace,
            server=None if kind == FANOUT else given.server,
        )
        target.check_client()
        if kind == CALL:
            client._check_one()
        self._check(method, content, target)
        seconds = client.options.timeout if timeout is None else timeout
        if seconds is None:
            seconds = CALL_TIMEOUT if kind == CALL else CAST_TIMEOUT
        deadline = time.monotonic() + seconds
        quick = client.options.fail_fast if fail_fast is None else fail_fast
        topic = client._fleet.topic(target.exchange or transport.exchange, target.topic or "")
        allowed = self._allowed(method, content, target)
        asks = client._cap.auto and len(allowed) > 1
        return Draft(method, content, kind, target, deadline, quick, topic, allowed, asks)

    def _complete(self, d: Draft, entries: Sequence[Entry]) -> TypedMessage:
        """Return the message of a draft. ``entries`` are the topic's, if the draft needs them."""
        transport, target, versions = self._transport, d.target, d.versions
        if d.asks:  # versions that only some servers can serve come last
            namespace = target.namespace or ""
            common = [v for v in versions if delivery.ceiling(entries, namespace, v, target.server)]
            versions = common + [v for v in reversed(versions) if v not in common]
        m = TypedMessage(
            self._plan(d.method, target, min(versions), d.topic, d.fail_fast),
            d.deadline,
            transport.next_turn(),
            d.method,
            d.content,
            versions,
            transport.next_id(),
            target.exchange or transport.exchange,
            self._common,
        )
        m.delivery = d.kind
        return m

    def _check(self, method: Method, content: Any, target: Target) -> None:
        found = getattr(getattr(content, "DESCRIPTOR", None), "full_name", type(content).__name__)
        about: dict[str, Any] = {"target": target, "method": method.name, "safe_to_retry": True}
        if found != method.input:
            raise Error(Kind.BAD_ARGUMENTS, f"the request is a {found}, and must be a {method.input}", **about)
        size, most = content.ByteSize(), self._transport.max_size
        if size > most:
            message = f"the request has {size} bytes, and at most {most} are allowed: send less at a time"
            raise Error(Kind.TOO_LARGE, message, **about)

    def _allowed(self, method: Method, content: Any, target: Target) -> list[Version]:
        """Return the versions that the cap allows."""
        cap = self._client._cap
        steps = method.needs.steps(content)
        allowed = [v for v in steps if cap.allows(v)]
        if not allowed:
            message = f"version {steps[-1]} is not allowed by the version cap {cap}"
            raise Error(Kind.VERSION_CAP_EXCEEDED, message, target=target, method=method.name, safe_to_retry=True)
        return allowed

    def _plan(self, method: Method, target: Target, lowest: Version, topic: Topic, fail_fast: bool) -> Plan:
        """Return the common part of messages.

        A server that can serve any of the versions can serve the lowest.
        """
        key = method.path, lowest, fail_fast
        plan = self._plans.get(key)
        if plan is None or plan.topic is not topic:
            plan = self._plans[key] = Plan(target, method.name, lowest, topic)
            options = self._client.options
            plan.retry, plan.fail_fast = options.retry, fail_fast
            plan.metadata, plan.order_key = unreserved(options.metadata), options.order_key or ""
        return plan


class Raised:
    """Converts an Error to the exception that the client raises: the registered one, if there is
    one.
    """

    def __init__(self, client: ClientCore[Any]) -> None:
        self._client = client

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Error):
            raised = errors.raised(error, self._client._transport.exceptions)
            if raised is not error:
                raise raised


def accepted(report: Report, ends: Sequence[Delivered], m: TypedMessage) -> Any:
    """Return the answer of one server. If a server failed, raise its error."""
    for outcome in report.failed:
        assert outcome.error is not None
        raise outcome.error
    if not report.accepted:
        error = Error(Kind.NO_INSTANCE, "no server on the topic accepted it", safe_to_retry=True)
        raise delivery.about(error, m)
    return next(d.result for d in ends if d.error is None)


def decoded(read: Read, answer: bytes) -> Any:
    try:
        return read(answer)
    except DecodeError as e:
        raise Error(Kind.BAD_RESULT, f"the answer cannot be decoded: {e}") from None
