"""RPCs that a gRPC server gets from grpcio's core, and their interface for handlers."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import grpc

from oslorpc.grpccore import core

if TYPE_CHECKING:
    from oslorpc.grpcserver import Server

_log = logging.getLogger("oslorpc.server")
_FOREVER = 1e9  # seconds; gRPC reports a missing deadline as one that is centuries away
_OK, _CANCELLED, _UNKNOWN, _UNIMPLEMENTED, _INTERNAL = 0, 1, 2, 12, 13


class _AbortedError(Exception):
    """Ends a handler after the RPC got its status."""


class Rpc:
    """An RPC, which is also the context of its handler.

    A grpc.aio handler gets an object with the same methods.
    """

    __slots__ = (
        "_began", "_call", "_closed", "_deadline", "_ended", "_handler", "_lock", "_request", "_sending", "_server",
        "_task", "_trailing", "metadata", "method",
    )  # fmt: skip

    def __init__(self, server: Server, event: Any) -> None:
        details = event.call_details
        self._server, self._call = server, event.call
        self.method: str = details.method.decode("utf-8", "replace")
        self.metadata = event.invocation_metadata
        self._deadline: float = details.deadline
        self._lock = threading.Lock()
        # Whether the answer has begun, whether it has ended, and whether the RPC is over.
        self._began = self._ended = self._closed = False
        self._sending = 0
        self._trailing: Any = None
        self._request: Any = None
        self._handler: Any = None
        self._task: asyncio.Task[None] | None = None

    # The following methods run in the thread.

    def accept(self) -> None:
        """Register for the event of the RPC's end."""
        self._call.start_server_batch((core.ReceiveCloseOnServerOperation(0),), self._over)

    def receive(self, handler: Any) -> None:
        """Wait for the request, and then run the handler."""
        self._handler = handler
        if handler is None:
            self.finish(_UNIMPLEMENTED, "Method not found!")
        elif handler.request_streaming:
            self._server.tell(self._begin)
        else:
            self._call.start_server_batch((core.ReceiveMessageOperation(0),), self._received)

    def _received(self, event: Any) -> None:
        body = event.batch_operations[0].message()
        if body is None:
            self.finish(_INTERNAL, "the method takes one request, and none was sent")
            return
        self._request = body
        self._server.tell(self._begin)

    def _over(self, event: Any) -> None:
        with self._lock:
            self._closed = True
            over = not self._sending
        if not self._ended and event.batch_operations[0].cancelled():
            self._server.tell(self._cancel)
        if over:
            self._server.ended(self)

    def _sent(self, event: Any) -> None:
        with self._lock:
            self._sending -= 1
            over = self._closed and not self._sending
        if over:
            self._server.ended(self)

    # The following methods run on the event loop.

    def _begin(self) -> None:
        if not self._closed:
            server = self._server
            self._task = server.loop.create_task(self._run(), context=server.context.copy())

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        handler = self._handler
        try:
            read = handler.request_deserializer
            request: Any = self._requests() if handler.request_streaming else self._request
            if read is not None and not handler.request_streaming:
                request = read(request)
            self._request = None
            if not handler.response_streaming:
                self.reply(await (handler.unary_unary or handler.stream_unary)(request, self))
                return
            answers = (handler.unary_stream or handler.stream_stream)(request, self)
            if hasattr(answers, "__aiter__"):
                async for answer in answers:
                    await self.write(answer)
            else:
                await answers
            self.finish(_OK, "")
        except _AbortedError:
            pass
        except asyncio.CancelledError:
            self.finish(_CANCELLED, "the RPC was canceled")
            raise
        except Exception as e:
            _log.exception("an RPC failed: method=%s", self.method)
            self.finish(_UNKNOWN, f"Unexpected {type(e)}: {e}")

    async def _requests(self) -> AsyncIterator[Any]:
        while True:
            future: asyncio.Future[bytes | None] = self._server.loop.create_future()

            def received(event: Any, future: asyncio.Future[bytes | None] = future) -> None:
                body = event.batch_operations[0].message()
                self._sent(event)
                self._server.tell(lambda: None if future.done() else future.set_result(body))

            self._start((core.ReceiveMessageOperation(0),), received)
            body = await future
            if body is None:
                return
            read = self._handler.request_deserializer
            yield body if read is None else read(body)

    async def write(self, message: Any) -> None:
        """Send an item, and wait until the next one may be sent."""
        future: asyncio.Future[None] = self._server.loop.create_future()

        def done() -> None:
            if not future.done():
                future.set_result(None)

        def sent(event: Any) -> None:
            self._sent(event)
            self._server.tell(done if event.success else future.cancel)

        self._start((*self._beginning(), core.SendMessageOperation(self._written(message), 0)), sent)
        await future

    async def send_initial_metadata(self, metadata: Any) -> None:
        """Send headers, which begin the answer."""
        self._began = True
        self._start((core.SendInitialMetadataOperation(metadata, 0),), self._sent)

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Any = ()) -> NoReturn:
        """End the RPC and its handler with an error."""
        if trailing_metadata:
            self._trailing = trailing_metadata
        self.finish(code.value[0], details)
        raise _AbortedError

    def set_trailing_metadata(self, trailing_metadata: Any) -> None:
        """Set the metadata that is sent with the status."""
        self._trailing = trailing_metadata

    # The following methods run in any thread.

    def reply(self, message: Any) -> None:
        """Send the only answer, and end the RPC."""
        self.promise(message)()

    def promise(self, message: Any) -> Callable[[], None]:
        """Return a function that sends the only answer. From now on, nothing else ends the RPC."""
        if not self._claim():
            return lambda: None
        trailing = self._trailing  # an error that comes too late sets others
        return lambda: self._answer(message, trailing)

    def _answer(self, message: Any, trailing: Any) -> None:
        status = core.SendStatusFromServerOperation(trailing, _OK, b"", 0)
        message = core.SendMessageOperation(self._written(message), 0)
        self._start_if_open((*self._beginning(), message, status), self._sent)

    def finish(self, code: int, text: str) -> None:
        """End the RPC with a status, unless it has one."""
        if self._claim():
            status = core.SendStatusFromServerOperation(self._trailing, code, text.encode("utf-8", "replace"), 0)
            self._start_if_open((*self._beginning(), status), self._sent)

    def _claim(self) -> bool:
        """Whether the caller may end the RPC. It is true once: a method's thread and the event loop
        may both try.
        """
        with self._lock:
            first, self._ended = not self._ended, True
        return first

    def _written(self, message: Any) -> bytes:
        write = self._handler.response_serializer
        result: bytes = message if write is None else write(message)
        return result

    def _beginning(self) -> tuple[Any, ...]:
        if self._began:
            return ()
        self._began = True
        return (core.SendInitialMetadataOperation(None, 0),)

    def _start(self, operations: tuple[Any, ...], tag: Callable[[Any], None]) -> None:
        if not self._start_if_open(operations, tag):
            raise asyncio.CancelledError

    def _start_if_open(self, operations: tuple[Any, ...], tag: Callable[[Any], None]) -> bool:
        with self._lock:
            if self._closed:
                return False
            self._call.start_server_batch(operations, tag)
            self._sending += 1
            return True

    def time_remaining(self) -> float | None:
        """Return how many seconds there are until the deadline, or None if there is none."""
        left = self._deadline - time.time()
        return None if left > _FOREVER else max(left, 0.0)

    def invocation_metadata(self) -> Any:
        """Return the headers."""
        return self.metadata

    def peer(self) -> str:
        """Return the address of the caller."""
        text: bytes = self._call.peer()
        return text.decode("utf-8", "replace")

    def auth_context(self) -> dict[str, Sequence[bytes]]:
        """Return what the connection proves about the caller."""
        return {key.decode(): values for key, values in (core.auth_context(self._call) or {}).items()}
