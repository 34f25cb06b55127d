"""One connection to each process, for the asyncio API."""

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
    error_of,
)
from oslorpc.errors import Error
from oslorpc.trust import Trust
from oslorpc.v1 import introspection_pb2 as introspection
from oslorpc.v1 import rpc_pb2 as pb

_SILENT = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)


class AioLink(Link):
    """A connection of the asyncio API. It belongs to one event loop."""

    def __init__(
        self,
        addr: str,
        trust: Trust,
        caller: str,
        limit: int,
        loop: asyncio.AbstractEventLoop,
        changed: Callable[[], None],
    ) -> None:
        super().__init__(addr)
        self._open = lambda: trust.aio_channel(addr, channel_options(caller, addr, limit, trust.server_name))
        self._loop = loop
        self._changed = changed
        self._channel: grpc.aio.Channel | None = None
        self._watching: asyncio.Task[None] | None = None
        self._moved = asyncio.Event()

    def _connection(self) -> grpc.aio.Channel:
        if self._channel is None:
            self._channel = channel = self._open()
            # Requests and results are bytes.
            self.call: Any = channel.unary_unary(CALL)
            self.cast: Any = channel.unary_unary(CAST)
            self.multicall: Any = channel.unary_stream(MULTICALL)
            self.monitored: Any = channel.unary_stream(MONITORED, None, pb.MonitoredCallResponse.FromString)
            self.ping = channel.unary_unary(
                PING, introspection.PingRequest.SerializeToString, introspection.PingResponse.FromString
            )
            self._watching = asyncio.ensure_future(self._watch(channel))
        return self._channel

    async def _watch(self, channel: grpc.aio.Channel) -> None:
        """Follow the state of the channel."""
        state = channel.get_state(try_to_connect=True)
        while state is not grpc.ChannelConnectivity.SHUTDOWN and channel is self._channel:
            self.ready = state is grpc.ChannelConnectivity.READY
            if self.ready or state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                self.down, self.fresh = not self.ready, False
            self._moved.set()
            self._moved = asyncio.Event()
            self._changed()
            await channel.wait_for_state_change(state)
            state = channel.get_state()

    async def connect(self, seconds: float) -> bool:
        """Wait until it is connected, for so long; less if it is known to be down."""
        channel = self._connection()
        channel.get_state(try_to_connect=True)
        end = self._loop.time() + seconds
        if not self.fresh:
            _keep(asyncio.ensure_future(self._ask(channel, max(seconds, 1.0))))
        known_down = self.down
        while not self.ready and (known_down or not self.down) and channel is self._channel:
            try:
                await asyncio.wait_for(self._moved.wait(), end - self._loop.time())
            except TimeoutError:
                break
        return self.ready

    async def _ask(self, channel: grpc.aio.Channel, seconds: float) -> None:
        """Ask the process whether it is there. Whatever it says, the channel is connected."""
        try:
            await self.ping(introspection.PingRequest(), timeout=seconds)
        except grpc.aio.AioRpcError as e:
            if e.code() in _SILENT:
                return
        if channel is self._channel:
            self.ready, self.down, self.fresh = True, False, False
            self._moved.set()
            self._moved = asyncio.Event()
            self._changed()

    def renew(self) -> None:
        """Make a new connection for the next message. It may be called from any thread."""
        self._drop(after=60.0)
        self.down, self.fresh = False, True

    def close(self) -> None:
        """Close the connection. It may be called from any thread."""
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
        """Close the connection, and wait for that."""
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
    """Return the error that an RPC ended with."""
    encoded: Any = None
    for key, value in e.trailing_metadata() or ():
        if key == status.DETAILS:
            encoded = value
    headers = bool(tuple(e.initial_metadata() or ()))
    return error_of(e.code().value[0], e.details() or "", encoded, headers, replied)
