"""Sends typed messages for the blocking client."""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
from collections.abc import Callable
from typing import Any

from oslorpc.around import unsent
from oslorpc.client import AT_ONCE, Client, Items, failed, known, link_of
from oslorpc.errors import Error, Kind
from oslorpc.fleet import Entry
from oslorpc.typed.core import Raised, Read, SenderCore, accepted, decoded
from oslorpc.typed.message import TypedMessage
from oslorpc.typed.service import FANOUT, Method


class Sender(SenderCore[Client]):
    """Sends the typed messages of a client. May be used from any thread."""

    def unary(self, method: Method, content: Any, read: Read, timeout: float | None, fail_fast: bool | None) -> Any:
        """Send a message, and return the answer.

        If the message goes to every server, the answer is from one of them. If an interceptor
        suppressed the error, the answer is an empty message.
        """
        with Raised(self._client):
            m = self._message(method, content, timeout, fail_fast)

        def send(m: TypedMessage, e: Entry) -> Any:
            return self._call(m, e, read)

        result, sending = None, None
        with contextlib.ExitStack() as stack:
            sending = self._client._within(m, send, stack, copies=m.delivery == FANOUT)
            result = self._everyone(m, sending) if m.delivery == FANOUT else self._one(m, sending)
        if sending is None:
            raise unsent()
        return decoded(read, b"") if result is None else result

    def stream(self, method: Method, content: Any, read: Read, timeout: float | None, fail_fast: bool | None) -> Stream:
        """Send a message, and return the stream of the answer."""
        with Raised(self._client):
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
        """Send to every server."""
        client = self._client
        with Raised(client):
            to = client._audience(m)
            with concurrent.futures.ThreadPoolExecutor(min(len(to.reached), AT_ONCE) or 1) as pool:
                send = functools.partial(client._one, m, to, send=lambda m, e: _descend(m, e, sending))
                ends = list(pool.map(send, to.reached))
            return accepted(to.report(ends), ends, m)

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
        return decoded(read, answer)

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
        items = Stream(self._client, m, e, stream, lambda answer: decoded(read, answer))
        items.fetch(m.remaining)  # the first item shows that the server accepted the message
        return items

    def _message(self, method: Method, content: Any, timeout: float | None, fail_fast: bool | None) -> TypedMessage:
        """Check a message, and compute the versions at which it can be sent."""
        d = self._draft(method, content, timeout, fail_fast)
        return self._complete(d, known(d.topic, d.deadline, d.fail_fast) if d.asks else ())


class Stream(Items):
    """The messages that a server streams. Each may take as long as the client's timeout."""

    def cancel(self) -> bool:
        """Stop early. This cancels the method."""
        self.close()
        return True


def _descend(m: TypedMessage, e: Entry, send: Callable[[TypedMessage, Entry], Any]) -> Any:
    """Send at the first version that an instance serves.

    If the instance refuses that version, try the next lower one.
    """
    able = m.able(e)
    for version in able[:-1]:
        try:
            return send(m.asking(version), e)
        except Error as error:
            if error.kind is not Kind.UNSUPPORTED_VERSION or not error.safe_to_retry:
                raise
    return send(m.asking(able[-1]), e)
