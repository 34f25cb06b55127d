"""A gRPC server whose handlers run on an event loop, with half the cost of grpc.aio.

It has the interface of grpc.aio.Server, and implements it on grpcio's core. A thread receives the
core's events, and passes them to the loop in batches. Any thread may send an answer. The core is
not a public interface: it is the layer below grpc.server(). So `available()` reports whether the
installed version of grpcio is supported.
"""

from __future__ import annotations

import asyncio
import atexit
import collections
import contextlib
import contextvars
import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import grpc
import grpc.aio

from oslorpc import grpccore
from oslorpc.grpccore import core
from oslorpc.grpcrpc import Rpc

_log = logging.getLogger("oslorpc.server")
_NEEDED = (
    "CompletionQueue", "Server", "SendInitialMetadataOperation", "SendMessageOperation",
    "SendStatusFromServerOperation", "ReceiveMessageOperation", "ReceiveCloseOnServerOperation", "auth_context",
)  # fmt: skip
_END = 2.0  # seconds that the exit of a process waits at most


def available() -> bool:
    """Whether the installed version of grpcio was tested with this server, and has what it
    needs.
    """
    return grpccore.available(*_NEEDED)


class _Details(grpc.HandlerCallDetails):
    def __init__(self, method: str, metadata: Any) -> None:
        self.method, self.invocation_metadata = method, metadata


class Server(grpc.aio.Server):
    """The server. It is created, started and stopped on an event loop, where its handlers run."""

    def __init__(self, options: Sequence[tuple[str, Any]]) -> None:
        self._queue = core.CompletionQueue()
        self._server = core.Server(tuple(options), False)
        self._server.register_completion_queue(self._queue)
        self._generic: list[grpc.GenericRpcHandler] = []
        self._registered: dict[str, Any] = {}
        self._open: set[Rpc] = set()  # only the thread uses it
        self._inbox: collections.deque[Callable[[], object]] = collections.deque()
        self._told = self._stopping = self._down = self._destroyed = False
        self._changing = threading.Lock()
        self._gone = asyncio.Event()
        self._process = os.getpid()
        self.context = contextvars.copy_context()

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """Offer methods; handlers are looked up by path."""
        self._generic.extend(generic_rpc_handlers)

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, Any]) -> None:
        """Offer the methods of a service."""
        self._registered.update({f"/{service_name}/{name}": handler for name, handler in method_handlers.items()})

    def add_insecure_port(self, address: str) -> int:
        """Listen on an address without TLS, and return the port."""
        return self._bound(address, self._server.add_http2_port(address.encode()))

    def add_secure_port(self, address: str, server_credentials: Any) -> int:
        """Listen on an address with TLS, and return the port."""
        return self._bound(address, self._server.add_http2_port(address.encode(), server_credentials._credentials))

    def _bound(self, address: str, port: int) -> int:
        if port == 0:
            raise RuntimeError(f"the address {address} cannot be bound to")
        return port

    async def start(self) -> None:
        """Start serving."""
        self.loop = asyncio.get_running_loop()
        self._server.start()
        self._server.request_call(self._queue, self._queue, self._requested)
        self._thread = threading.Thread(target=self._serve, name="oslorpc-grpc", daemon=True)
        self._thread.start()
        _running.add(self)

    async def stop(self, grace: float | None) -> None:
        """Accept no more RPCs, and cancel the running ones after ``grace`` seconds."""
        self._shutdown()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._gone.wait(), grace or 0)
        self._cancel_all()
        await self._gone.wait()
        await asyncio.to_thread(self._thread.join)

    def _shutdown(self) -> None:
        with self._changing:
            if not self._stopping:
                self._stopping = True
                self._server.shutdown(self._queue, self._shut)

    def _cancel_all(self) -> None:
        with self._changing:
            if not self._destroyed:
                self._server.cancel_all_calls()

    def end(self) -> None:
        """Stop at the exit of the process, without a grace: the thread must not outlive the
        interpreter.
        """
        if self._process == os.getpid() and self._thread.is_alive():
            self._shutdown()
            self._cancel_all()
            self._thread.join(_END)

    async def wait_for_termination(self, timeout: float | None = None) -> bool:
        """Wait until the server has stopped. Return False if the timeout passed first."""
        try:
            await asyncio.wait_for(self._gone.wait(), timeout)
        except TimeoutError:
            return False
        return True

    def _serve(self) -> None:
        """Handle events of the core, in the thread, until the server has stopped.

        The tag of an event is its handler.
        """
        while not self._down or self._open:
            event = self._queue.poll()
            try:
                event.tag(event)
            except Exception:
                _log.exception("an event of gRPC could not be handled")
            event = None  # otherwise the variable would keep the RPC alive until the next event
        with self._changing:
            self._destroyed = True
            self._server.destroy()
        self.tell(self._gone.set)

    def _shut(self, event: Any) -> None:
        self._down = True

    def _requested(self, event: Any) -> None:
        if not event.success:
            return  # the server stops
        with self._changing:
            if not self._stopping:
                self._server.request_call(self._queue, self._queue, self._requested)
        rpc = Rpc(self, event)
        self._open.add(rpc)
        rpc.accept()
        rpc.receive(self._find(rpc))

    def _find(self, rpc: Rpc) -> Any:
        """Return the handler of a method, or None."""
        if (handler := self._registered.get(rpc.method)) is not None:
            return handler
        details = _Details(rpc.method, rpc.metadata)
        for generic in self._generic:
            if (handler := generic.service(details)) is not None:
                return handler
        return None

    def ended(self, rpc: Rpc) -> None:
        """Forget an RPC after its last event."""
        self._open.discard(rpc)

    def tell(self, what: Callable[[], object]) -> None:
        """Make the loop run a function soon. The loop is woken once for all pending functions."""
        self._inbox.append(what)
        if not self._told:
            self._told = True
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self.loop.call_soon_threadsafe(self._read)

    def _read(self) -> None:
        self._told = False
        while self._inbox:
            try:
                self._inbox.popleft()()
            except Exception:
                _log.exception("an RPC could not be begun or ended")


_running: weakref.WeakSet[Server] = weakref.WeakSet()


@atexit.register
def _end() -> None:
    for server in list(_running):
        server.end()
