"""Connections to processes: the part that the blocking and the asyncio API share."""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from oslorpc import status
from oslorpc.diagnosis import Verdict
from oslorpc.discovery.base import Instance
from oslorpc.errors import REASONS, STOPPING, Error, Kind
from oslorpc.security import Security

BUSY = 1  # the health of a connection that is loaded, and fine otherwise
SLACK = 1 << 20  # bytes by which gRPC's limit exceeds ours, so that our limit applies first, and our error explains it
CALL, CAST = "/oslorpc.v1.RPCService/Call", "/oslorpc.v1.RPCService/Cast"
MULTICALL, MONITORED = "/oslorpc.v1.RPCService/Multicall", "/oslorpc.v1.RPCService/MonitoredCall"
PING = "/oslorpc.v1.IntrospectionService/Ping"
GET_INFO = "/oslorpc.v1.IntrospectionService/GetInfo"
_UNKNOWN_TROUBLE = "cannot be connected to: nothing listens there, it hangs, or the network does not reach it"
# gRPC's messages for RPCs that did not begin because there was no connection.
_NEVER_BEGUN = ("failed to connect to all addresses", "DNS resolution failed", "empty address list")


def channel_options(caller: str, addr: str, limit: int, server_name: str) -> list[tuple[str, Any]]:
    """Return the channel options. Pings detect frozen processes and lost hosts."""
    options: list[tuple[str, Any]] = [
        ("grpc.primary_user_agent", caller),
        ("grpc.keepalive_time_ms", 10_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.min_reconnect_backoff_ms", 1000),
        ("grpc.max_reconnect_backoff_ms", 10_000),
        ("grpc.max_receive_message_length", limit + SLACK),
        ("grpc.max_send_message_length", -1),
        ("grpc.enable_http_proxy", 0),
        ("grpc.service_config_disable_resolution", 1),
        ("grpc.use_local_subchannel_pool", 1),
    ]
    if addr.startswith("unix:"):
        options.append(("grpc.default_authority", "localhost"))
    elif server_name:
        options.append(("grpc.ssl_target_name_override", server_name))
    return options


class Link:
    """The connection to a process. A smaller health value is better."""

    def __init__(self, addr: str, name: str) -> None:
        self.addr = addr
        self.name = name  # the name that the server must prove besides its address, if any
        self.pin: Verdict | None = None  # the certificate that proves the name
        self.distrust = ""  # why the ends do not trust each other
        self.trouble = ""  # why connecting fails, if known
        self._vetted = -1.0
        self.hopeless = False  # no attempt to connect can succeed
        self.ready = False
        self.down = False  # the last attempt to connect failed
        self.fresh = True  # nothing has tried to connect yet
        self._sent: collections.deque[None] = collections.deque()  # one for each message that has not ended
        self._heard = True  # an answer arrived after the last message was sent
        self._uses = 0
        self._lock = threading.Lock()

    @property
    def outstanding(self) -> int:
        """The number of messages that have not ended."""
        return len(self._sent)

    @property
    def health(self) -> int:
        """0: healthy, BUSY: busy and silent, 2: reconnecting, 3: down."""
        if self.ready:
            return BUSY if not self._heard and len(self._sent) > 1 else 0
        if self.down:
            return 3
        return 0 if self.fresh else 2

    def unreachable(self, who: str) -> Error:
        """Return the error that says why no message can be sent to the process. ``who`` names the
        instance.
        """
        if self.distrust:
            return Error(Kind.UNTRUSTED, f"{who} {self.distrust}", safe_to_retry=True)
        if self.down:
            message = f"{who} {self.trouble or _UNKNOWN_TROUBLE}"
        else:
            message = f"{who} could not be connected to in time"
        return Error(Kind.UNREACHABLE, message, safe_to_retry=True)

    def vet(self, security: Security, told: Callable[[Verdict], None]) -> None:
        """Check in a thread whether the ends trust each other, at most twice a second."""
        with self._lock:
            now = time.monotonic()
            if now < self._vetted + 0.5:
                return
            self._vetted = now
        work = lambda: told(security.diagnose(self.addr, self.name))  # noqa: E731
        threading.Thread(target=work, name="oslorpc-trust", daemon=True).start()

    def began(self) -> None:
        """Count a message that is being sent."""
        self._sent.append(None)  # append() needs no lock, unlike a counter
        self._heard = False

    def ended(self) -> None:
        """Count a message that has ended."""
        self._sent.pop()
        self._heard = True

    def lost(self) -> None:
        """Note that a message failed with its connection. gRPC reports the connection's state a
        moment later.
        """
        self.ready = False

    def use(self) -> None:
        """Count an entry that uses the link."""
        with self._lock:
            self._uses += 1

    @property
    def used(self) -> bool:
        """Whether any entry uses the link."""
        return self._uses > 0

    def release(self) -> None:
        """Count one entry less. The last one closes the link."""
        with self._lock:
            self._uses -= 1
            unused = self._uses <= 0
        if unused:
            self.close()

    def renew(self) -> None:
        """Open a new connection for the next message."""

    def close(self) -> None:
        """Close the connection."""


def failure(e: Any, replied: bool = False) -> Error:
    """Convert the error of an RPC to an Error.

    It reads the error's parts with the methods of gRPC's blocking API.
    """
    code = e.code()
    encoded = None
    for key, value in e.trailing_metadata() or ():
        if key == status.DETAILS:
            encoded = value
    return error_of(
        code.value[0] if code else status.UNKNOWN, e.details() or "", encoded, bool(e.initial_metadata()), replied
    )


def error_of(code: int, text: str, encoded: bytes | None, headers: bool, replied: bool) -> Error:
    """Convert the error of an RPC to an Error."""
    never = code == status.UNAVAILABLE and not headers and not encoded and text.startswith(_NEVER_BEGUN)
    return status.Evidence(sent=not never, headers=headers, replied=replied).decode(code, text, encoded)


def closed() -> Error:
    """Return the error for a connection that was dropped before the message was sent."""
    return Error(Kind.REFUSED, REASONS[STOPPING], reason=STOPPING, safe_to_retry=True)


class Unprovable(Link):
    """Stands for a connection to a server whose name no certificate can prove.

    It is never ready.
    """

    def __init__(self, addr: str, why: str) -> None:
        super().__init__(addr, "")
        self.distrust, self.hopeless = why, True
        self.down, self.fresh = True, False


class Pool:
    """The connections of a transport, one per run of a process."""

    def __init__(self, make: Callable[[str, str], Link], security: Security) -> None:
        self._make, self._security = make, security
        self._lock = threading.Lock()
        self._links: dict[tuple[str, str, str], Link] = {}

    def get(self, i: Instance) -> Link:
        """Return the connection to the process of an instance."""
        try:
            name = self._security.name_of(i)
        except ValueError as e:
            return Unprovable(i.addr, "cannot be trusted: " + str(e))
        if self._security.exposes(i.addr):
            return Unprovable(i.addr, "would get the token of this client in clear: give ca, or no token")
        with self._lock:
            key = i.addr, i.boot_id, name
            link = self._links.get(key)
            if link is None or not link.used:
                self._links = {k: known for k, known in self._links.items() if known.used}
                self._links[key] = link = self._make(i.addr, name)
            link.use()
            return link

    def renew(self) -> None:
        """Open new connections, with the current certificates.

        Messages on the old connections continue.
        """
        for link in self.all():
            link.renew()

    def all(self) -> Iterable[Link]:
        """Return all connections."""
        with self._lock:
            return list(self._links.values())

    def close(self) -> None:
        """Close all connections."""
        for link in self.all():
            link.close()
