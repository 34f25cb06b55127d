"""Connections of the blocking API."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import grpc

from oslorpc.connection import CALL, CAST, GET_INFO, MONITORED, MULTICALL, PING, Link, channel_options, closed
from oslorpc.diagnosis import Verdict
from oslorpc.grpccore import state_of
from oslorpc.security import Security
from oslorpc.v1 import introspection_pb2 as introspection
from oslorpc.v1 import rpc_pb2 as pb


class BlockingLink(Link):
    """A connection of the blocking API."""

    def __init__(
        self,
        addr: str,
        name: str,
        security: Security,
        caller: str,
        limit: int,
        changed: Callable[[], None],
        watcher: Watcher,
    ) -> None:
        self._ready = False
        # A channel, and what its state is according to the core.
        self._watched: tuple[grpc.Channel, Callable[[], grpc.ChannelConnectivity | None]] | None = None
        self._seen: grpc.ChannelConnectivity | None = None
        self._doubted = -_DOUBT
        super().__init__(addr, name)
        options = channel_options(caller, addr, limit, security.trust.server_name)
        self._open = lambda: security.channel(addr, options, self.pin)
        self._security = security
        self.headers = security.headers
        self._changed = changed
        self._watcher = watcher
        self._state = threading.Condition()
        self._channel: grpc.Channel | None = None
        self._renewed = 0
        self._closed = False

    @property
    def ready(self) -> bool:
        """Whether a message can be sent at once."""
        watched = self._watched
        return self._ready and (watched is None or watched[1]() is grpc.ChannelConnectivity.READY)

    @ready.setter
    def ready(self, is_: bool) -> None:
        self._ready = is_

    def lost(self) -> None:
        """Note that a message failed with its connection."""
        super().lost()
        self._doubted = time.monotonic()

    def look(self) -> None:
        """Find out whether the state of the channel has changed."""
        watched = self._watched
        if watched is None:
            return
        channel, state = watched[0], watched[1]()
        ready = state is grpc.ChannelConnectivity.READY
        if state is None or (state is self._seen and ready == self._ready):
            return
        if ready and time.monotonic() < self._doubted + _DOUBT:
            return
        self._seen = state
        self._moved(channel, state)

    def _connection(self) -> grpc.Channel | None:
        """Return the channel, or None before the server has proved its name."""
        if self.name and self.pin is None:
            self.vet(self._security, self._told)
            return None
        with self._lock:
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
                self.info = channel.unary_unary(
                    GET_INFO, introspection.GetInfoRequest.SerializeToString, introspection.GetInfoResponse.FromString
                )
                ask = state_of(channel)
                self._seen, self._watched = None, ask and (channel, ask)
                if ask is not None:
                    self._watcher.watch(self)
                else:
                    channel.subscribe(
                        lambda state: self._moved(channel, state), try_to_connect=True
                    )  # the stubs leave subscribe() without types
            return self._channel

    def typed(self, path: str) -> Any:
        """Return a callable for a method of a typed service. Its messages are encoded already."""
        return self._connected().unary_unary(path)

    def typed_stream(self, path: str) -> Any:
        """Return a callable for a typed method that streams its answers."""
        return self._connected().unary_stream(path)

    def _connected(self) -> grpc.Channel:
        channel = self._channel
        if channel is None:
            raise closed()
        return channel

    def _moved(self, channel: grpc.Channel, state: grpc.ChannelConnectivity) -> None:
        with self._state:
            if channel is not self._channel:
                return
            self.ready = state is grpc.ChannelConnectivity.READY
            failed = state is grpc.ChannelConnectivity.TRANSIENT_FAILURE
            if self.ready:
                self.distrust = ""
            if self.ready or failed:
                self.down, self.fresh = not self.ready, False
            self._state.notify_all()
        if failed:
            self.vet(self._security, self._told)
        self._changed()

    def _told(self, found: Verdict) -> None:
        """Handle the result of the check whether the ends trust each other."""
        with self._state:
            if self.ready or self._closed:
                return
            self.distrust, self.trouble = found.distrust, found.trouble
            proved = bool(self.name and found.certificate) and (self.pin is None or self.pin != found)
            if proved:
                self.pin = found
            elif not self.ready:
                self.down, self.fresh = True, False
            self._state.notify_all()
        if proved:  # with a new certificate
            self._replace()
            self._connection()
        self._changed()

    def _answered(self, channel: grpc.Channel, answer: Any) -> None:
        """Note that the process answered a ping. Any answer shows that the channel is connected."""
        if answer.code() not in _SILENT:
            self._moved(channel, grpc.ChannelConnectivity.READY)

    def connect(self, seconds: float) -> bool:
        """Wait up to ``seconds`` for the connection, and return whether it is ready.

        Returns early if an attempt to connect fails.
        """
        channel = self._connection()
        self.look()
        if self.ready:
            return True
        known_down = self.down
        if channel is not None and not self.fresh:  # an RPC makes an idle channel connect at once
            ping = self.ping.future(introspection.PingRequest(), max(seconds, _KICK), self.headers())
            ping.add_done_callback(lambda answer: self._answered(channel, answer))
        renewed, end, pause = self._renewed, time.monotonic() + seconds, _MIN_PAUSE
        over = lambda: self._ready or renewed != self._renewed or (self.down and not known_down)  # noqa: E731
        while not over() and (left := end - time.monotonic()) > 0:
            with self._state:
                self._state.wait_for(over, left if self._channel and not self._watched else min(pause, left))
            self.look()
            pause = min(2 * pause, _MAX_PAUSE)
        return self.ready

    def renew(self) -> None:
        """Open a new connection for the next message. Messages on the old connection continue."""
        with self._state:
            self.down, self.fresh = False, True
            self.distrust, self.pin, self._vetted = "", None, -1.0
            self._renewed += 1
        self._replace()

    def _replace(self) -> None:
        with self._state:
            old, self._channel = self._channel, None
            self.ready = False
        if old is not None:
            _close_later(old, self)

    def close(self) -> None:
        """Close the connection."""
        with self._state:
            old, self._channel = self._channel, None
            self.ready, self.down, self._closed = False, True, True
            self._renewed += 1
        self._watcher.forget(self)
        if old is not None:
            old.close()


_KICK = 1.0
_DOUBT = 1.0  # seconds after a loss in which the core may not know of it yet
_MIN_PAUSE, _MAX_PAUSE = 0.001, 0.02  # seconds between looks at a channel that a message waits for
_SILENT = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)


def _close_later(channel: grpc.Channel, link: Link) -> None:
    """Close a channel when no message uses it any more."""

    def wait() -> None:
        end = time.monotonic() + 600
        while link.outstanding and time.monotonic() < end:
            time.sleep(0.5)
        channel.close()

    threading.Thread(target=wait, name="oslorpc-close", daemon=True).start()


class Watcher:
    """Looks at the channels of links from time to time, in one thread for all of them.

    grpcio's ``subscribe()`` has a thread for each channel, which wakes five times a second.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._links: set[BlockingLink] = set()
        self._running = False

    def watch(self, link: BlockingLink) -> None:
        """Look at a link from now on."""
        with self._lock:
            self._links.add(link)
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="oslorpc-watch", daemon=True).start()

    def forget(self, link: BlockingLink) -> None:
        """Look at a link no more."""
        with self._lock:
            self._links.discard(link)

    def _run(self) -> None:
        while True:
            time.sleep(_LOOK)
            with self._lock:
                links = list(self._links)
                if not links:
                    self._running = False
                    return
            for link in links:
                link.look()


_LOOK = 0.2  # seconds between looks at all channels
