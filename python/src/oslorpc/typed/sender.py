"""Delivers typed messages: RPCs of a program's own services, with headers in place of the contract's message."""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from google.protobuf.message import DecodeError

from oslorpc import delivery, errors, payload
from oslorpc.around import unsent
from oslorpc.client import AT_ONCE, Client, Items, failed, known, link_of
from oslorpc.clientcore import CALL_TIMEOUT, CAST_TIMEOUT, unreserved
from oslorpc.delivery import Plan
from oslorpc.errors import Error, Kind
from oslorpc.fleet import Entry, Topic
from oslorpc.target import Target, check_name
from oslorpc.typed.message import Headers, TypedMessage, escape
from oslorpc.typed.service import CALL, CAST, FANOUT, Method
from oslorpc.versions import Version

Read = Callable[[bytes], Any]


class Sender:
    """Sends the typed messages of a client. It may be used from any thread."""

    def __init__(self, client: Client, ctxt: Mapping[str, Any] | None) -> None:
        self._client, self._transport = client, client._transport
        self._plans: dict[tuple[str, Version, bool], Plan] = {}
        common: list[tuple[str, str | bytes]] = []
        if client.options.order_key is not None:
            check_name("order key", client.options.order_key)
            common.append(("oslorpc-order-key", escape(client.options.order_key)))
        if ctxt:
            common.append(("oslorpc-context-bin", payload.encode(dict(ctxt), Kind.BAD_ARGUMENTS)))
        self._common: Headers = tuple(common)

    def unary(self, method: Method, content: Any, read: Read, timeout: float | None, fail_fast: bool | None) -> Any:
        """Send a message, and return what a server answers; with every server, what one of them does.

        It is an empty answer if an interceptor made a success of an error.
        """
        with _Raised(self._client):
            m = self._message(method, content, timeout, fail_fast)

        def send(m: TypedMessage, e: Entry) -> Any:
            return self._call(m, e, read)

        result, sending = None, None
        with contextlib.ExitStack() as stack:
            sending = self._client._within(m, send, stack, copies=m.delivery == FANOUT)
            result = self._everyone(m, sending) if m.delivery == FANOUT else self._one(m, sending)
        if sending is None:
            raise unsent()
        return _decoded(read, b"") if result is None else result

    def stream(self, method: Method, content: Any, read: Read, timeout: float | None, fail_fast: bool | None) -> Stream:
        """Send a message, and return the stream that a server answers."""
        with _Raised(self._client):
            m = self._message(method, content, timeout, fail_fast)
        m.delivery = "multicall"

        def send(m: TypedMessage, e: Entry) -> Stream:
            return self._open(m, e, read, timeout)

        failure: Exception = unsent()
        with contextlib.ExitStack() as stack:
            sending = self._client._within(m, send, stack)
            try:
                stream: Stream = self._one(m, sending)
            except Exception as e:
                failure = e
                raise
            stream.around = stack.pop_all()
            return stream
        raise failure

    def _one(self, m: TypedMessage, sending: Any) -> Any:
        """Send to one server."""
        return self._client._offer(m, lambda m, e: _descend(m, e, sending))

    def _everyone(self, m: TypedMessage, sending: Any) -> Any:
        """Send to every server. The error of one that failed is that of the fanout: there is no room for a report."""
        client = self._client
        with _Raised(client):
            to = client._audience(m)
            with concurrent.futures.ThreadPoolExecutor(min(len(to.reached), AT_ONCE) or 1) as pool:
                send = functools.partial(client._one, m, to, send=lambda m, e: _descend(m, e, sending))
                ends = list(pool.map(send, to.reached))
            report = to.report(ends)
            for outcome in report.failed:
                assert outcome.error is not None
                raise outcome.error
            if not report.accepted:
                error = Error(Kind.NO_INSTANCE, "no server on the topic took it", safe_to_retry=True)
                raise delivery.about(error, m)
        return next(d.result for d in ends if d.error is None)

    def _call(self, m: TypedMessage, e: Entry, read: Read) -> Any:
        link = link_of(e)
        link.began()
        try:
            call = link.typed(m.method.path)
            answer: bytes = call(m.encoded(), m.remaining, m.headers(e, link.headers()))
        except Exception as error:
            raise failed(link, error) from None
        finally:
            link.ended()
        return _decoded(read, answer)

    def _open(self, m: TypedMessage, e: Entry, read: Read, timeout: float | None) -> Stream:
        link = link_of(e)
        link.began()
        try:
            call = link.typed_stream(m.method.path)
            limit = None if timeout is None else m.remaining
            stream = call(m.encoded(), limit, m.headers(e, link.headers()))
        except BaseException:
            link.ended()
            raise
        items = Stream(self._client, m, e, stream, lambda answer: _decoded(read, answer))
        items.fetch(m.remaining)  # only then it is known that the server took the message
        return items

    def _message(self, method: Method, content: Any, timeout: float | None, fail_fast: bool | None) -> TypedMessage:
        """Check a message, and find out at which versions it can be sent."""
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
        versions = self._allowed(method, content, target, lambda: known(topic, deadline, quick))
        m = TypedMessage(
            self._plan(method, target, min(versions), topic, quick),
            deadline,
            transport.next_turn(),
            method,
            content,
            versions,
            transport.next_id(),
            target.exchange or transport.exchange,
            self._common,
        )
        m.delivery = kind
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

    def _allowed(
        self, method: Method, content: Any, target: Target, entries: Callable[[], Sequence[Entry]]
    ) -> list[Version]:
        """Return the versions that the cap allows. With "auto", those that not all servers can serve come last."""
        cap = self._client._cap
        steps = method.needs.steps(content)
        allowed = [v for v in steps if cap.allows(v)]
        if not allowed:
            message = f"version {steps[-1]} is not allowed by the version cap {cap}"
            raise Error(Kind.VERSION_CAP_EXCEEDED, message, target=target, method=method.name, safe_to_retry=True)
        if not cap.auto or len(allowed) == 1:
            return allowed
        there, namespace = entries(), target.namespace or ""
        common = [v for v in allowed if delivery.ceiling(there, namespace, v, target.server)]
        return common + [v for v in reversed(allowed) if v not in common]

    def _plan(self, method: Method, target: Target, lowest: Version, topic: Topic, fail_fast: bool) -> Plan:
        """Return what messages have in common. A server that serves any of the versions serves the lowest."""
        key = method.path, lowest, fail_fast
        plan = self._plans.get(key)
        if plan is None or plan.topic is not topic:
            plan = self._plans[key] = Plan(target, method.name, lowest, topic)
            options = self._client.options
            plan.retry, plan.fail_fast = options.retry, fail_fast
            plan.metadata, plan.order_key = unreserved(options.metadata), options.order_key or ""
        return plan


class Stream(Items):
    """The messages that a server streams. Each may take as long as the client's timeout."""

    def cancel(self) -> bool:
        """Break off: the method is canceled."""
        self.close()
        return True


class _Raised:
    """Turns an Error into what the client raises for it: the registered exception, if there is one."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Error):
            raised = errors.raised(error, self._client._transport.exceptions)
            if raised is not error:
                raise raised


def _descend(m: TypedMessage, e: Entry, send: Callable[[TypedMessage, Entry], Any]) -> Any:
    """Send at the first version that an instance serves; at a lower one if it then says that it does not."""
    able = m.able(e)
    for version in able[:-1]:
        try:
            return send(m.asking(version), e)
        except Error as error:
            if error.kind is not Kind.UNSUPPORTED_VERSION or not error.safe_to_retry:
                raise
    return send(m.asking(able[-1]), e)


def _decoded(read: Read, answer: bytes) -> Any:
    try:
        return read(answer)
    except DecodeError as e:
        raise Error(Kind.BAD_RESULT, f"the answer cannot be decoded: {e}") from None
