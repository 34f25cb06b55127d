"""Connections to processes, for the asyncio API."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio

from oslorpc import status
from oslorpc.connection import (
    CALL,
    CAST,
    MONITORED,
    MULTICALL,
    PING,
    Link,
    channel_options,
    closed,
    error_of,
)
from oslorpc.diagnosis import Verdict
from oslorpc.errors import Error
from oslorpc.security import Security
from oslorpc.v1 import introspection_pb2 as introspection
from oslorpc.v1 import rpc_pb2 as pb

_SILENT = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)


class AioLink(Link):
    """A connection of the asyncio API. It belongs to one event loop."""

    def __init__(
        self,
        addr: str,
        name: str,
        security: Security,
        caller: str,
        limit: int,
        loop: asyncio.AbstractEventLoop,
        changed: Callable[[], None],
    ) -> None:
        super().__init__(addr, name)
        options = channel_options(caller, addr, limit, security.trust.server_name)
        self._open = lambda: security.aio_channel(addr, options, self.pin)
        self._security = security
        self.headers = security.headers
        self._loop = loop
        self._changed = changed
        self._channel: grpc.aio.Channel | None = None
        self._watching: asyncio.Task[None] | None = None
        self._moved = asyncio.Event()
        self._renewed = 0
        self._closed = False

    def _connection(self) -> grpc.aio.Channel | None:
        """Return the channel, or None before the server has proved its name."""
        if self.name and self.pin is None:
            self._vet()
            return None
        if self._channel is None:
            self._channel = channel = self._open()
            # Requests and results are encoded already.
            self.call: Any = channel.unary_unary(CALL)
            self.cast: Any = channel.unary_unary(CAST)
            self.multicall: Any = channel.unary_stream(MULTICALL)
            self.monitored: Any = channel.unary_stream(MONITORED, None, pb.MonitoredCallResponse.FromString)
            self.ping = channel.unary_unary(
                PING, introspection.PingRequest.SerializeToString, introspection.PingResponse.FromString
            )
            self._watching = asyncio.ensure_future(self._watch(channel))
        return self._channel

    def typed(self, path: str) -> Any:
        """Return a callable for a method of a typed service. Its messages are encoded already."""
        return self._connected().unary_unary(path)

    def typed_stream(self, path: str) -> Any:
        """Return a callable for a typed method that streams its answers."""
        return self._connected().unary_stream(path)

    def _connected(self) -> grpc.aio.Channel:
        channel = self._channel
        if channel is None:
            raise closed()
        return channel

    async def _watch(self, channel: grpc.aio.Channel) -> None:
        """Follow the state of the channel."""
        state = channel.get_state(try_to_connect=True)
        while state is not grpc.ChannelConnectivity.SHUTDOWN and channel is self._channel:
            self.ready = state is grpc.ChannelConnectivity.READY
            failed = state is grpc.ChannelConnectivity.TRANSIENT_FAILURE
            if self.ready:
                self.distrust = ""
            if self.ready or failed:
                self.down, self.fresh = not self.ready, False
            if failed:
                self._vet()
            self._notify()
            await channel.wait_for_state_change(state)
            state = channel.get_state()

    def _notify(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()
        self._changed()

    def _vet(self) -> None:
        def told(found: Verdict) -> None:
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._told, found)

        self.vet(self._security, told)

    def _told(self, found: Verdict) -> None:
        """Handle the result of the check whether the ends trust each other."""
        if self.ready or self._closed:
            return
        self.distrust, self.trouble = found.distrust, found.trouble
        if self.name and found.certificate and self.pin != found:
            self.pin = found  # a new certificate
            self._drop(after=60.0)
            self._connection()
        else:
            self.down, self.fresh = True, False
        self._notify()

    async def connect(self, seconds: float) -> bool:
        """Wait up to ``seconds`` for the connection, and return whether it is ready.

        Returns early if an attempt to connect fails.
        """
        channel = self._connection()
        end = self._loop.time() + seconds
        if channel is not None:
            channel.get_state(try_to_connect=True)
            if not self.fresh:
                _keep(asyncio.ensure_future(self._ask(channel, max(seconds, 1.0))))
        known_down, renewed = self.down, self._renewed
        while not self.ready and (known_down or not self.down) and renewed == self._renewed:
            try:
                await asyncio.wait_for(self._moved.wait(), end - self._loop.time())
            except TimeoutError:
                break
        return self.ready

    async def _ask(self, channel: grpc.aio.Channel, seconds: float) -> None:
        """Ping the process. Any answer shows that the channel is connected."""
        try:
            await self.ping(introspection.PingRequest(), timeout=seconds, metadata=self.headers())
        except grpc.aio.AioRpcError as e:
            if e.code() in _SILENT:
                return
        if channel is self._channel:
            self.ready, self.down, self.fresh = True, False, False
            self._notify()

    def renew(self) -> None:
        """Open a new connection for the next message. May be called from any thread."""
        self._drop(after=60.0)
        self.down, self.fresh = False, True
        self.distrust, self.pin, self._vetted = "", None, -1.0
        self._renewed += 1

    def close(self) -> None:
        """Close the connection. May be called from any thread."""
        self._closed = True
        self._renewed += 1
        self._drop(after=0.0)
        self.down = True

    def _drop(self, after: float) -> None:
        channel, self._channel = self._channel, None
        watching, self._watching = self._watching, None
        self.ready = False
        if channel is None or self._loop.is_closed():
            return

        async def end() -> None:
            if watching is not None:
                watching.cancel()
            await channel.close(after)

        self._loop.call_soon_threadsafe(lambda: _keep(asyncio.ensure_future(end())))

    async def shut(self) -> None:
        """Close the connection, and wait until it is closed."""
        self._closed = True
        channel, self._channel = self._channel, None
        if self._watching is not None:
            self._watching.cancel()
        if channel is not None:
            await channel.close()


_ending: set[asyncio.Future[Any]] = set()


def _keep(task: asyncio.Future[Any]) -> None:
    _ending.add(task)
    task.add_done_callback(_ending.discard)


def failure(e: grpc.aio.AioRpcError, replied: bool = False) -> Error:
    """Convert the error of an RPC to an Error."""
    encoded: Any = None
    for key, value in e.trailing_metadata() or ():
        if key == status.DETAILS:
            encoded = value
    headers = bool(tuple(e.initial_metadata() or ()))
    return error_of(e.code().value[0], e.details() or "", encoded, headers, replied)
