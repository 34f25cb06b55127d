"""The registry of programs that reach the fleet through gateways only:
gateway://host:port,host:port.

All messages go to one of the gateways, with the id of the intended instance. docs/protocol.md has
the protocol.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import grpc

from oslorpc.connection import channel_options, failure
from oslorpc.discovery.attach import Attacher
from oslorpc.discovery.base import ACTIVE, DRAINING, HELD, Instance, Notify, Update, split_addr
from oslorpc.errors import FOREIGN, STOPPING, Error, Kind, invalid
from oslorpc.plain import HANGS, plain
from oslorpc.security import Security
from oslorpc.v1 import gateway_pb2 as pb
from oslorpc.v1 import introspection_pb2 as introspection
from oslorpc.versions import Implementation, Version

_log = logging.getLogger("oslorpc.gateway")
_SERVICE = "/oslorpc.v1.GatewayService/"
_LIST_WITHIN = 10.0
_MIN_PAUSE, _MAX_PAUSE = 0.05, 5.0
_STATES = {introspection.STATE_HELD: HELD, introspection.STATE_DRAINING: DRAINING}


class Gateway:
    """One of the gateways, and the connection to it for discovery."""

    def __init__(self, addr: str, make: Callable[[str], grpc.Channel]) -> None:
        self.addr = addr
        self._make = make
        self._lock = threading.Lock()
        self._channel: grpc.Channel | None = None

    def channel(self) -> grpc.Channel:
        """Return the connection.

        After a drop, a new one is opened with the current certificates.
        """
        with self._lock:
            if self._channel is None:
                self._channel = self._make(self.addr)
            return self._channel

    def drop(self, channel: grpc.Channel | None = None) -> None:
        """Close the connection, unless another one has replaced it."""
        with self._lock:
            if channel is not None and channel is not self._channel:
                return
            old, self._channel = self._channel, None
        if old is not None:
            old.close()


class Gateways:
    """The gateways of a URL.

    A transport uses one at a time, chosen at random, so that programs spread over them.
    """

    def __init__(self, rest: str, security: Security, caller: str, limit: int) -> None:
        self.headers = security.headers
        self._security = security
        server_name = security.trust.server_name

        def make(addr: str) -> grpc.Channel:
            return security.channel(addr, channel_options(caller, addr, limit, server_name), None)

        self.open = make
        self.all = [Gateway(addr, make) for addr in _addresses(rest, security)]
        random.shuffle(self.all)
        self._lock = threading.Lock()
        self._current = 0

    def explain(self, error: Error) -> Error:
        """Add to an error about a gateway why connecting fails, which gRPC does not report.

        This tries to connect, so it may take seconds.
        """
        if error.kind is Kind.UNREACHABLE and HANGS not in error.message:
            found = self._security.diagnose(error.addr, "")
            if why := found.distrust or found.trouble:
                error.message = f"the gateway at {error.addr} {why}"
        return error

    def current(self) -> Gateway:
        """Return the gateway in use."""
        return self.all[self._current]

    def leave(self, gateway: Gateway) -> None:
        """Use the next gateway, unless another caller has switched already."""
        with self._lock:
            if self.all[self._current] is gateway:
                self._current = (self._current + 1) % len(self.all)

    def close(self) -> None:
        """Close the connections."""
        for gateway in self.all:
            gateway.drop()


def _addresses(rest: str, security: Security) -> list[str]:
    """Parse the addresses of a URL."""
    addrs = rest.rstrip("/").split(",")
    for addr in addrs:
        try:
            split_addr(addr)
        except ValueError as e:
            raise invalid(f'transport URL "gateway://{rest}": "{addr}": {e}') from None
        if addrs.count(addr) > 1:
            raise invalid(f'transport URL "gateway://{rest}": "{addr}" appears twice: remove one')
        if not security.trust.secure:
            security.trust.check_plaintext(addr)
        if security.exposes(addr):
            raise invalid(f"{addr} would get the token of this program in clear: give ca, or no token")
    if security.template is not None:
        raise invalid(
            "identity: through a gateway a client sees the certificate of the gateway and not of the server: "
            "leave identity out, and give server-name if the gateway has another name than its address"
        )
    return addrs


class GatewayRegistry:
    """The registry that a gateway offers."""

    def __init__(self, rest: str, exchange: str, security: Security, caller: str, limit: int) -> None:
        self._gateways = Gateways(rest, security, caller, limit)
        self.name = "the gateway at " + " or ".join(rest.rstrip("/").split(","))
        self._exchange = exchange
        self._lock = threading.Lock()
        self._watches: set[_Watch] = set()
        self._attacher = Attacher([g.addr for g in self._gateways.all], self._gateways.open, self._gateways.headers)

    def publish(self, instances: Sequence[Instance], timeout: float = 10) -> None:
        """Attach the servers of this process to one of the gateways."""
        self._attacher.publish(instances, timeout)

    def watch(self, exchange: str, topic: str, notify: Notify) -> Callable[[], None]:
        """Watch a topic at the gateway in use."""
        watch = _Watch(self._gateways, exchange, topic, notify)
        with self._lock:
            self._watches.add(watch)

        def stop() -> None:
            with self._lock:
                self._watches.discard(watch)
            watch.end()

        return stop

    def list(self) -> list[Instance]:
        """Return the instances that the gateway in use lists. If it fails, ask the next one."""
        error: Error | None = None
        for _ in self._gateways.all:
            gateway = self._gateways.current()
            channel = gateway.channel()
            ask = channel.unary_unary(_SERVICE + "List", pb.ListRequest.SerializeToString, pb.ListResponse.FromString)
            try:
                response: Any = ask(pb.ListRequest(), _LIST_WITHIN, self._gateways.headers())
                return list(_instances(response, gateway.addr))
            except grpc.RpcError as e:
                error = _named(failure(e), gateway.addr)
                if not _elsewhere(error):
                    break
                gateway.drop(channel)
                self._gateways.leave(gateway)
        assert error is not None
        raise self._gateways.explain(error)

    def await_listed(self, instances: Sequence[Instance], timeout: float) -> bool:
        """Return at once: once a gateway has accepted instances, others can find them."""
        return True

    def socket(self) -> str | None:
        """Return the path where servers listen for the connections from a gateway's stream."""
        return self._attacher.socket()

    def lapses(self, notify: Callable[[str], None]) -> None:
        """Set the function that is called with a reason each time the servers are attached again
        after an interruption.
        """
        self._attacher.lapses(notify)

    def close(self) -> None:
        """Leave the gateways, and end all watches."""
        self._attacher.close()
        with self._lock:
            watches, self._watches = self._watches, set()
        for watch in watches:
            watch.end()
        self._gateways.close()


class _Watch:
    """Watches a topic in a thread: at the gateway in use, and when that watch ends, at the next
    gateway.
    """

    def __init__(self, gateways: Gateways, exchange: str, topic: str, notify: Notify) -> None:
        self._gateways, self._notify = gateways, notify
        self._request = pb.WatchRequest(exchange=exchange, topic=topic)
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._stream: Any = None
        threading.Thread(target=self._run, name="oslorpc-gateway", daemon=True).start()

    def end(self) -> None:
        """End the watch."""
        with self._lock:
            self._ended.set()
            if self._stream is not None:
                self._stream.cancel()

    def _run(self) -> None:
        failures = 0
        while not self._ended.is_set():
            gateway = self._gateways.current()
            error = self._follow(gateway)
            if self._ended.is_set():
                return
            self._gateways.leave(gateway)
            if error is None:
                failures = 0
                continue
            failures += 1
            if failures >= len(self._gateways.all):  # no gateway can be used now
                error = self._gateways.explain(error)
                _log.warning("no gateway can be asked about the topic %s: %s", self._request.topic, error.message)
                self._notify(Update(error=error))
                self._ended.wait(random.uniform(0.5, 1) * min(_MIN_PAUSE * 2 ** min(failures, 10), _MAX_PAUSE))

    def _follow(self, gateway: Gateway) -> Error | None:
        """Watch the topic at a gateway until the watch ends.

        Returns the error, or None if the gateway had sent an update.
        """
        channel, told = gateway.channel(), False
        try:
            with self._lock:
                if self._ended.is_set():
                    return None
                watch = channel.unary_stream(
                    _SERVICE + "Watch", pb.WatchRequest.SerializeToString, pb.WatchResponse.FromString
                )
                self._stream = watch(self._request, metadata=self._gateways.headers())
            for response in self._stream:
                told = True
                self._notify(_update(response, gateway.addr))
            error = Error(Kind.UNREACHABLE, "it ended the watch", safe_to_retry=True)
        except grpc.RpcError as e:
            error = failure(e)
            if error.kind is Kind.OUTCOME_UNKNOWN:
                error = Error(Kind.UNREACHABLE, plain(e.details() or ""), safe_to_retry=True)
        except ValueError as e:  # the channel was closed, or cannot be made
            error = Error(Kind.UNREACHABLE, str(e), safe_to_retry=True)
        except Error as e:
            error = e
        if error.reason != STOPPING and _elsewhere(error):
            gateway.drop(channel)
        return None if told else _named(error, gateway.addr)


def _named(error: Error, addr: str) -> Error:
    """Name the gateway in an error."""
    error.addr = error.addr or addr
    if error.reason == FOREIGN or error.kind is Kind.NO_SUCH_METHOD:
        error.message = f"at {addr} is no gateway: give gateway:// the address of an oslorpc gateway"
    elif addr not in error.message:
        error.message = f"the gateway at {addr}: {error.message}"
    return error


def _elsewhere(error: Error) -> bool:
    """Whether another gateway may answer."""
    return error.kind not in (Kind.ACCESS_DENIED, Kind.INVALID_TARGET)


def _update(response: Any, addr: str) -> Update:
    """Convert a gateway's answer about a topic to an update."""
    if response.error:
        why = f"the gateway at {addr} cannot read its registry: {response.error}"
        return Update(error=Error(Kind.UNREACHABLE, why, safe_to_retry=True))
    return Update(tuple(_instances(response, addr)), response.reset)


def _instances(response: Any, addr: str) -> Iterable[Instance]:
    """Return instances for clients.

    Their process is the gateway, which is at the other end of the connection.
    """
    for i in response.instances:
        implemented = _implemented(i)
        if implemented is None:
            _log.error("an instance of the gateway at %s cannot be used: its versions are malformed: id=%s", addr, i.id)
            continue
        state = _STATES.get(i.state, ACTIVE)
        yield Instance(
            i.id, response.boot_id, i.exchange, i.topic, i.server, addr, state, implemented, i.zone, relayed=True
        )


def _implemented(i: pb.Instance) -> tuple[Implementation, ...] | None:
    try:
        return tuple(Implementation(one.namespace, Version.parse(one.version)) for one in i.implemented)
    except ValueError:
        return None
