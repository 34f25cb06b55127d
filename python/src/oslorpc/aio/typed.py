"""Typed services with asyncio: the channel for generated stubs, and the sender of their
messages.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import grpc
import grpc.aio

from oslorpc.aio.client import AT_ONCE, Client, failed, known, link_of
from oslorpc.aio.items import Items
from oslorpc.around import unsent
from oslorpc.clientcore import CALL_TIMEOUT
from oslorpc.errors import Error, Kind, invalid
from oslorpc.fleet import Entry
from oslorpc.typed.channel import given
from oslorpc.typed.core import Raised, Read, SenderCore, accepted, decoded
from oslorpc.typed.message import TypedMessage
from oslorpc.typed.service import FANOUT, Method, find


class TypedChannel(grpc.aio.Channel):
    """A channel for stubs of typed services.

    Closing it has no effect, since the transport owns the connections.
    """

    def __init__(self, client: Client, ctxt: Mapping[str, Any] | None) -> None:
        self._sender = Sender(client, ctxt)

    def unary_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Return a callable for a unary method, to be awaited."""
        return _Method(self._sender.unary, method, *args, **kwargs)

    def unary_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Return a callable for a method that streams its answers, to be iterated over."""
        return _Method(lambda *sent: Stream(self._sender, *sent), method, *args, **kwargs)

    def stream_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Return a callable that raises an Error: client streams are not supported."""
        return _Streams(method)

    def stream_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Return a callable that raises an Error: client streams are not supported."""
        return _Streams(method)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Raise an Error: there is no single connection to watch."""
        raise invalid("a typed channel has no single connection to watch: each message goes to a server of the topic")

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Raise an Error: there is no single connection to watch."""
        self.get_state()

    async def channel_ready(self) -> None:
        """Raise an Error: there is no single connection to watch."""
        self.get_state()

    async def close(self, grace: float | None = None) -> None:
        """Do nothing, since the transport closes the connections."""

    async def __aenter__(self) -> TypedChannel:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


class _Method:
    """Calls a method with one message."""

    def __init__(
        self,
        send: Callable[..., Any],
        path: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = None,
    ) -> None:
        self._send, self._method = send, find(path)
        self._read = response_deserializer or bytes

    def __call__(self, request: Any, *, timeout: float | None = None, **options: Any) -> Any:
        return self._send(self._method, request, self._read, timeout, given(self._method, options))


class _Streams:
    """Stands for a method with a client stream, which is not supported."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __call__(self, *_: Any, **__: Any) -> Any:
        raise invalid(f"{self._path}: the Python package does not send streams")


class Sender(SenderCore[Client]):
    """Sends the typed messages of a client."""

    async def unary(
        self, method: Method, content: Any, read: Read, timeout: float | None, fail_fast: bool | None
    ) -> Any:
        """Send a message, and return the answer.

        If the message goes to every server, the answer is from one of them. If an interceptor
        suppressed the error, the answer is an empty message.
        """
        with Raised(self._client):
            m = await self._message(method, content, timeout, fail_fast)

        async def send(m: TypedMessage, e: Entry) -> Any:
            return await self._call(m, e, read)

        result, sending = None, None
        async with contextlib.AsyncExitStack() as stack:
            sending = await self._client._within(m, send, stack, copies=m.delivery == FANOUT)
            result = await (self._everyone(m, sending) if m.delivery == FANOUT else self._one(m, sending))
        if sending is None:
            raise unsent()
        return decoded(read, b"") if result is None else result

    async def stream(
        self, method: Method, content: Any, read: Read, timeout: float | None, fail_fast: bool | None
    ) -> Items:
        """Send a message, and return an iterator over the items of the answer."""
        with Raised(self._client):
            m = await self._message(method, content, timeout, fail_fast)
        m.delivery = "multicall"

        async def send(m: TypedMessage, e: Entry) -> Items:
            return await self._open(m, e, read, timeout)

        failure: Exception = unsent()
        async with contextlib.AsyncExitStack() as stack:
            sending = await self._client._within(m, send, stack)
            try:
                items: Items = await self._one(m, sending)
            except Exception as e:
                failure = e
                raise
            items.around = stack.pop_all()
            return items
        raise failure

    async def _one(self, m: TypedMessage, sending: Any) -> Any:
        """Send to one server."""
        return await self._client._offer(m, lambda m, e: _descend(m, e, sending))

    async def _everyone(self, m: TypedMessage, sending: Any) -> Any:
        """Send to every server."""
        client = self._client
        with Raised(client):
            to = await client._audience(m)
            gate = asyncio.Semaphore(AT_ONCE)

            def send(m: TypedMessage, e: Entry) -> Awaitable[Any]:
                return _descend(m, e, sending)

            ends = list(await asyncio.gather(*(client._one(m, to, e, send, gate) for e in to.reached)))
            return accepted(to.report(ends), ends, m)

    async def _call(self, m: TypedMessage, e: Entry, read: Read) -> Any:
        link = link_of(e)
        link.began()
        try:
            call = link.typed(m.method.path)
            answer = await call(m.encoded(), timeout=m.remaining, metadata=m.headers(e, link.headers()))
        except Exception as error:
            raise failed(link, error) from None
        finally:
            link.ended()
        return decoded(read, answer)

    async def _open(self, m: TypedMessage, e: Entry, read: Read, timeout: float | None) -> Items:
        link, client = link_of(e), self._client
        link.began()
        try:
            call = link.typed_stream(m.method.path)
            limit = None if timeout is None else m.remaining
            stream = call(m.encoded(), timeout=limit, metadata=m.headers(e, link.headers()))
        except BaseException:
            link.ended()
            raise
        each = client.options.timeout or CALL_TIMEOUT
        items = Items(m, e, stream, each, self._transport.exceptions, lambda answer: decoded(read, answer))
        await items.fetch(m.remaining)  # the first item shows that the server accepted the message
        return items

    async def _message(
        self, method: Method, content: Any, timeout: float | None, fail_fast: bool | None
    ) -> TypedMessage:
        """Check a message, and compute the versions at which it can be sent."""
        d = self._draft(method, content, timeout, fail_fast)
        return self._complete(d, await known(d.topic, d.deadline, d.fail_fast) if d.asks else ())


class Stream:
    """The messages that a server streams.

    The message is sent when the first of them is requested.
    """

    def __init__(self, sender: Sender, *sent: Any) -> None:
        self._sender, self._sent = sender, sent
        self._items: Items | None = None
        self._canceled = False

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        if self._canceled:
            raise StopAsyncIteration
        if self._items is None:
            self._items = await self._sender.stream(*self._sent)
        return await self._items.__anext__()

    async def read(self) -> Any:
        """Return the next message, or grpc.aio.EOF."""
        try:
            return await self.__anext__()
        except StopAsyncIteration:
            return grpc.aio.EOF

    def cancel(self) -> bool:
        """Stop early. This cancels the method."""
        self._canceled = True
        if self._items is not None:
            self._items.close()
        return True


async def _descend(m: TypedMessage, e: Entry, send: Callable[[TypedMessage, Entry], Awaitable[Any]]) -> Any:
    """Send at the first version that an instance serves.

    If the instance refuses that version, try the next lower one.
    """
    able = m.able(e)
    for version in able[:-1]:
        try:
            return await send(m.asking(version), e)
        except Error as error:
            if error.kind is not Kind.UNSUPPORTED_VERSION or not error.safe_to_retry:
                raise
    return await send(m.asking(able[-1]), e)
