"""The results of a multicall, for ``async for``."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import grpc.aio

from oslorpc import delivery, errors, frame
from oslorpc.aio.link import failure
from oslorpc.clientcore import Sendable, result_of
from oslorpc.errors import Error, ExceptionTypes, Kind
from oslorpc.fleet import Entry


class Items:
    """The results of a multicall.

    Each item may take as long as the client's timeout. To stop early, close the iterator.
    """

    def __init__(
        self,
        op: Sendable,
        e: Entry,
        stream: Any,
        timeout: float,
        types: ExceptionTypes,
        read: Callable[[Any], Any] = lambda response: result_of(frame.parse(response)),
    ) -> None:
        self._read = read
        self._op, self._entry, self._stream = op, e, stream
        self._timeout, self._types = timeout, types
        self._next: list[Any] = []
        self._replied = self._ended = False
        self.around = contextlib.AsyncExitStack()  # the interceptors of the client
        self._leaving: asyncio.Task[None] | None = None

    def __aiter__(self) -> Items:
        return self

    async def __aenter__(self) -> Items:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
        if self._leaving is not None:
            await self._leaving

    async def __anext__(self) -> Any:
        error: BaseException = StopAsyncIteration()
        if not self._next and not self._ended:
            try:
                await self.fetch(self._timeout)
            except Error as e:
                i = self._entry.instance
                e.server, e.addr, e.instance_id = e.server or i.server, i.addr, e.instance_id or i.id
                error = errors.raised(delivery.about(e, self._op), self._types)
        if self._next:
            return self._next.pop()
        around, self.around = self.around, contextlib.AsyncExitStack()
        async with around:
            if not isinstance(error, StopAsyncIteration):
                raise error
        raise StopAsyncIteration

    async def fetch(self, timeout: float) -> None:
        """Wait up to ``timeout`` seconds for the next item, or for the end, which is an Error if
        the call failed.
        """
        try:
            response: Any = await asyncio.wait_for(self._stream.read(), timeout)
            if response is not grpc.aio.EOF:
                self._replied = True
                self._next.append(self._read(response))
                return
            self._finish()
        except TimeoutError:
            self.close()
            raise Error(Kind.TIMEOUT, "the next item did not come in time; the method may have run") from None
        except grpc.aio.AioRpcError as e:
            self._finish()
            raise failure(e, self._replied) from None
        except asyncio.CancelledError:
            self.close()
            raise

    def _finish(self) -> None:
        if not self._ended:
            self._ended = True
            self._entry.link.ended()

    def close(self) -> None:
        """Stop early. This cancels the method."""
        self._stream.cancel()
        self._finish()
        if self._leaving is None:
            self._leaving = asyncio.ensure_future(self.around.aclose())
