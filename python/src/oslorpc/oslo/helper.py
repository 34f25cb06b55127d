"""The helper process of the driver. Only this process uses gRPC.

It ends when the other end of its socket is closed. It inherits the socket: ``python -m
oslorpc.oslo.helper FD``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from oslorpc import aio
from oslorpc.errors import Error, Kind, RemoteError, invalid
from oslorpc.oslo import frames
from oslorpc.oslo.sending import Senders
from oslorpc.oslo.serving import Listener

_END = 5.0  # seconds for the servers to end after the service's process ended


class Helper(asyncio.Protocol):
    """Executes the driver's requests on an event loop."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self._reader = frames.Reader()
        self._socket: asyncio.Transport | None = None
        self._transports: dict[int, aio.transport.Transport] = {}
        self._senders: dict[int, Senders] = {}
        self._listeners: dict[int, Listener] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._requests: dict[str, Callable[[frames.Header, list[str]], Coroutine[Any, Any, tuple[str, ...]]]] = {
            "open": self._open,
            "close": self._close,
            "send": self._send,
            "listen": self._listen,
            "stop": self._stop,
            "finish": self._finish,
        }

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport of the socket."""
        assert isinstance(transport, asyncio.Transport)
        self._socket = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """End, because the service's process is gone, or no longer needs the helper."""
        self.ended.set()

    def data_received(self, data: bytes) -> None:
        """Handle bytes with frames."""
        for header, texts in self._reader.feed(data):
            if header["op"] == "reply":
                listener = self._listeners.get(header["listener"])
                if listener is not None:
                    listener.reply(header, texts)
                continue
            task = asyncio.ensure_future(self._answer(header, texts))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def post(self, header: frames.Header, *texts: str) -> None:
        """Send a frame."""
        if self._socket is not None and not self._socket.is_closing():
            self._socket.write(frames.write(header, *texts))

    async def _answer(self, header: frames.Header, texts: list[str]) -> None:
        answer: frames.Header = {"op": "answer", "id": header["id"]}
        try:
            self.post(answer, *await self._requests[header["op"]](header, texts))
        except Error as e:
            self.post({**answer, "error": describe(e)})
        except Exception as e:  # otherwise the other end would wait forever
            logging.getLogger("oslorpc.oslo").exception("the helper process failed")
            self.post({**answer, "error": describe(Error(Kind.INVALID, f"the helper process failed: {e!r}"))})

    async def _open(self, header: frames.Header, texts: list[str]) -> tuple[str, ...]:
        transport = aio.open(header["url"], **header["options"])
        self._transports[header["transport"]] = transport
        self._senders[header["transport"]] = Senders(transport)
        return ()

    async def _close(self, header: frames.Header, texts: list[str]) -> tuple[str, ...]:
        self._senders.pop(header["transport"], None)
        transport = self._transports.pop(header["transport"], None)
        if transport is not None:
            await transport.close()
        return ()

    async def _send(self, header: frames.Header, texts: list[str]) -> tuple[str, ...]:
        senders = self._senders.get(header["transport"])
        if senders is None:
            raise invalid("the transport is closed")
        return await senders.send(header, texts)

    async def _listen(self, header: frames.Header, texts: list[str]) -> tuple[str, ...]:
        number = header["listener"]
        listener = Listener(self._transports[header["transport"]], number, header["server"], self.post)
        self._listeners[number] = listener
        try:
            await listener.start()
        except BaseException:
            del self._listeners[number]
            raise
        return ()

    async def _stop(self, header: frames.Header, texts: list[str]) -> tuple[str, ...]:
        listener = self._listeners.get(header["listener"])
        if listener is not None:
            await listener.stop()
        return ()

    async def _finish(self, header: frames.Header, texts: list[str]) -> tuple[str, ...]:
        listener = self._listeners.get(header["listener"])
        if listener is not None:
            await listener.finish()
            self._listeners.pop(header["listener"], None)
        return ()

    async def end(self) -> None:
        """Fail the messages that the service's process can no longer answer, and withdraw its
        servers.
        """
        for listener in self._listeners.values():
            listener.abandon()
        closing = [asyncio.ensure_future(t.close()) for t in self._transports.values()]
        if closing:
            await asyncio.wait(closing, timeout=_END)


def describe(e: Error) -> frames.Header:
    """Return an error in the form that the driver reads."""
    told: frames.Header = {
        "kind": e.kind.value,
        "message": str(e),
        "plain": e.message,
        "safe": e.safe_to_retry,
        "server": e.server,
    }
    if isinstance(e, RemoteError):
        told["remote"] = [e.type, e.remote_message, list(e.stack), list(e.hops), e.data]
    return told


class _Log(logging.Handler):
    """Sends log records to the driver, which logs them in the service's log."""

    def __init__(self, loop: asyncio.AbstractEventLoop, helper: Helper) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(logging.Formatter("%(message)s"))
        self._loop, self._helper = loop, helper

    def emit(self, record: logging.LogRecord) -> None:
        frame = {"op": "log", "logger": record.name, "level": record.levelno, "text": self.format(record)}
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._helper.post, frame)


async def serve(s: socket.socket) -> None:
    """Serve the other end of a socket, until it is closed."""
    s.setblocking(False)
    loop = asyncio.get_running_loop()
    helper = Helper()
    logging.basicConfig(level=logging.INFO, handlers=[_Log(loop, helper)], force=True)
    await loop.create_connection(lambda: helper, sock=s)
    await helper.ended.wait()
    await helper.end()


def main() -> None:
    """Run the helper process."""
    # A service manager sends signals to all processes of a service. The service decides when it
    # ends, and then this process ends. Until then, the service's messages pass through this
    # process.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    asyncio.run(serve(socket.socket(fileno=int(sys.argv[1]))))
    os._exit(0)  # do not wait for gRPC's threads


if __name__ == "__main__":
    main()
