"""The common part of the blocking and the asyncio client: settings, encoding of messages, and
decoding of answers.
"""

from __future__ import annotations

import abc
import copy
import dataclasses
import itertools
import os
import socket
import sys
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Self, TypeVar

from oslorpc import frame, payload
from oslorpc.around import Points
from oslorpc.connection import Pool
from oslorpc.delivery import Message, Plan, ceiling
from oslorpc.discovery.base import Instance, Registry
from oslorpc.errors import Error, ExceptionTypes, Kind, invalid
from oslorpc.fleet import Entry, Fleet, Topic
from oslorpc.interceptor import Interceptor
from oslorpc.security import Security
from oslorpc.target import Target, check_name
from oslorpc.url import Settings
from oslorpc.v1 import rpc_pb2 as pb
from oslorpc.versions import DEFAULT_VERSION, Cap, Version

CALL_TIMEOUT, CAST_TIMEOUT, ASK_TIMEOUT = 60.0, 30.0, 10.0
MAX_SIZE = 16 << 20
_PLANS = 256
_UNSET: Any = object()


def default_caller() -> str:
    """Return the name that a program gives itself: the names of its file and its machine."""
    program = os.path.basename(sys.argv[0] if sys.argv else "") or "python"
    words = [_word(program), _word(socket.gethostname())]
    return "@".join(word[:63] for word in words if word)


def _word(text: str) -> str:
    return "".join(c if "!" <= c <= "~" else "_" for c in text)


class TransportCore:
    """The common part of the blocking and the asyncio transport."""

    def __init__(
        self,
        settings: Settings,
        caller: str,
        exceptions: Mapping[str, type[BaseException]],
        max_size: int,
        token: Callable[[], str] | None,
        tokens: Callable[[str], str] | None,
        interceptors: Sequence[Interceptor],
        threaded: bool,
    ) -> None:
        self.points = Points(interceptors, threaded)
        self.settings = settings
        self.exchange = settings.exchange
        self.security = Security(settings.trust, token, tokens)
        self.caller = _word(caller or default_caller())[:128]
        self.exceptions = ExceptionTypes(exceptions)
        self.max_size = max_size
        self.registry: Registry = settings.open_registry(self.security, self.caller, max_size)
        self.attaches = settings.scheme == "gateway"  # other processes cannot connect to the servers of this one
        self.closed = self.forked = False
        self._ids = itertools.count(1)
        self._prefix = os.urandom(8).hex()
        self._turns = itertools.count(int.from_bytes(os.urandom(2)))
        _live.add(self)

    def check(self) -> None:
        """Raise an Error if the transport is closed or otherwise not usable."""
        if self.closed:
            raise invalid("the transport is closed")
        if self.forked:
            raise invalid(
                "the process was forked after the transport was opened, and gRPC does not work in both: "
                "open a transport in the child, after the fork"
            )

    def next_id(self) -> str:
        """Return an id for a message."""
        return f"{self._prefix}.{next(self._ids)}"

    def next_turn(self) -> int:
        """Return the turn of a message in the round robin."""
        return next(self._turns)

    def list_instances(self) -> list[Instance]:
        """Read all instances from discovery, without a cache."""
        self.check()
        return self.registry.list()


_live: weakref.WeakSet[TransportCore] = weakref.WeakSet()


def _in_child() -> None:
    for transport in _live:
        transport.forked = True


os.register_at_fork(after_in_child=_in_child)


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """The settings of a client besides its target."""

    timeout: float | None = None
    retry: int = -1
    version_cap: str | None = None
    version_aliases: Mapping[str, str] = dataclasses.field(default_factory=dict)
    fail_fast: bool = False
    call_monitor_timeout: float | None = None
    order_key: str | None = None
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)


class Sendable(Message, abc.ABC):
    """A client's message, with everything that is sent to a server."""

    __slots__ = ("id",)
    id: str

    @property
    def asked(self) -> str | None:
        """The version that the message asks for, if any."""
        return self.plan.target.version

    @property
    def service(self) -> str:
        """The full name of the typed service, or an empty string."""
        return ""

    @property
    def remaining(self) -> float:
        """The time until the deadline, in seconds."""
        return max(self.deadline - time.monotonic(), 0.001)

    @abc.abstractmethod
    def carrying(self, metadata: Mapping[str, str]) -> Self:
        """Return the message with other metadata."""

    @abc.abstractmethod
    def reporting(self, ago: float) -> Self:
        """Return the message with a report that its server missed a message ``ago`` seconds ago."""


class Operation(Sendable):
    """A message that is ready to be sent."""

    __slots__ = ("context", "head", "kwargs")

    def __init__(self, plan: Plan, deadline: float, turn: int, id: str, kwargs: bytes, context: bytes) -> None:
        self.plan, self.deadline, self.turn, self.begun = plan, deadline, turn, time.monotonic()
        self.id, self.kwargs, self.context = id, kwargs, context
        self.head = plan.head
        self.delivery = "call"

    def carrying(self, metadata: Mapping[str, str]) -> Self:
        """Return the message with other metadata."""
        if metadata == self.plan.metadata:
            return self
        op = copy.copy(self)
        m = pb.Message(metadata=unreserved(metadata))
        op.head = self.plan.bare + m.SerializeToString()
        return op

    def reporting(self, ago: float) -> Self:
        """Return the message with a report that its server missed a message ``ago`` seconds ago."""
        op, m = copy.copy(self), pb.Message()
        m.missed.FromNanoseconds(max(int(ago * 1e9), 1))
        op.head = self.head + m.SerializeToString()
        return op

    def to(self, e: Entry) -> bytes:
        """Return the request that sends the message to an instance."""
        return frame.request(self.head, e.field, self.id, self.kwargs, self.context)

    def monitored(self, e: Entry, silence: float) -> bytes:
        """Return the request for a call with heartbeats.

        The server sends two in each ``silence`` seconds, so one late heartbeat does no harm.
        """
        request = pb.MonitoredCallRequest()
        request.heartbeat_interval.FromNanoseconds(int(max(silence / 2, 0.01) * 1e9))
        return self.to(e) + request.SerializeToString()


T = TypeVar("T", bound=TransportCore)


class ClientCore(Generic[T]):
    """Sends messages to a target. It is immutable; prepare() returns a changed copy."""

    def __init__(self, transport: T, fleet: Fleet, target: Target, options: Options) -> None:
        self._transport = transport
        self._fleet = fleet
        self.target = target
        self.options = options
        self._plans: dict[str, Plan] = {}
        try:
            self._cap = Cap(options.version_cap, options.version_aliases)
        except ValueError as e:
            raise invalid(str(e)) from None

    def prepare(
        self,
        *,
        topic: str = _UNSET,
        exchange: str | None = _UNSET,
        namespace: str | None = _UNSET,
        version: str | None = _UNSET,
        server: str | None = _UNSET,
        fanout: bool = _UNSET,
        timeout: float | None = _UNSET,
        retry: int = _UNSET,
        version_cap: str | None = _UNSET,
        version_aliases: Mapping[str, str] = _UNSET,
        fail_fast: bool = _UNSET,
        call_monitor_timeout: float | None = _UNSET,
        order_key: str | None = _UNSET,
        metadata: Mapping[str, str] = _UNSET,
    ) -> Self:
        """Return a client with other settings.

        ``timeout`` bounds each operation, in seconds; None means 60 for calls and items, and 30 for
        casts. ``retry`` is how often to try again when no server accepted a message; negative means
        until the deadline. With ``fail_fast``, a message does not wait for a server.
        ``call_monitor_timeout`` is how long a server may be silent. ``version_cap`` is the latest
        version that may be sent: a version, an alias, or "auto".
        """
        given = {name: value for name, value in locals().items() if name != "self" and value is not _UNSET}
        fields = {f.name for f in dataclasses.fields(Target)}
        target = self.target.replace(**{k: v for k, v in given.items() if k in fields})
        options = dataclasses.replace(self.options, **{k: v for k, v in given.items() if k not in fields})
        return type(self)(self._transport, self._fleet, target, options)

    def _operation(
        self,
        method: str,
        ctxt: Mapping[str, Any] | payload.Raw | None,
        kwargs: Mapping[str, Any] | payload.Raw,
        default_timeout: float,
    ) -> Operation:
        """Check a message, and encode it."""
        transport, options = self._transport, self.options
        if transport.closed or transport.forked:
            transport.check()
        plan = self._plans.get(method)
        if plan is None or plan.topic.closed:
            plan = self._plan(method)
        timeout = default_timeout if options.timeout is None else options.timeout
        try:
            text = payload.encode(kwargs, Kind.BAD_ARGUMENTS)
            if not ctxt:
                context = b""
            else:
                context = payload.encode(ctxt if isinstance(ctxt, str) else dict(ctxt), Kind.BAD_ARGUMENTS)
        except Error as e:
            raise self._about(e, method) from None
        size = len(text) + len(context)
        if size > transport.max_size:
            message = f"the request has {size} bytes, and at most {transport.max_size} are allowed: send less at a time"
            raise self._about(Error(Kind.TOO_LARGE, message), method)
        now = plan.topic.used = time.monotonic()
        return Operation(plan, now + timeout, transport.next_turn(), transport.next_id(), text, context)

    def _everyone(self) -> Self:
        """Return a client for messages to all servers, which ignores the target's server."""
        return self if self.target.server is None else self.prepare(server=None)

    def _about(self, e: Error, method: str) -> Error:
        """Complete the error of a message that was not sent."""
        e.target, e.method, e.safe_to_retry = self.target, method, True
        return e

    def _plan(self, method: str) -> Plan:
        """Check and encode the parts that all messages for a method have in common."""
        target, options = self.target, self.options
        target.check_client()
        check_name("method name", method)
        if not method:
            raise self._about(Error(Kind.INVALID_TARGET, "the method name is empty: name the method"), method)
        version = Version.parse(target.version) if target.version else DEFAULT_VERSION
        if not self._cap.allows(version):
            message = f"version {version} is not allowed by the version cap {self._cap}"
            raise self._about(Error(Kind.VERSION_CAP_EXCEEDED, message), method)
        m = pb.Message(method=method)
        m.target.exchange, m.target.topic = target.exchange or self._transport.exchange, target.topic or ""
        for name in ("namespace", "version", "server"):
            value = getattr(target, name)
            if value is not None:
                setattr(m.target, name, value)
        if options.order_key is not None:
            check_name("order key", options.order_key)
            m.order_key = options.order_key
        bare = m.SerializeToString()
        for name, value in options.metadata.items():
            m.metadata[name.lower()] = value
        plan = Plan(target, method, version, self._fleet.topic(m.target.exchange, m.target.topic))
        plan.retry, plan.fail_fast, plan.monitor = options.retry, options.fail_fast, options.call_monitor_timeout
        plan.bare, plan.head, plan.metadata = bare, m.SerializeToString(), dict(m.metadata)
        plan.order_key = m.order_key
        if len(self._plans) < _PLANS:
            self._plans[method] = plan
        return plan

    def _result(self, p: Any) -> Any:
        """Decode a payload from a server."""
        return result_of(p)

    def _allows(self, version: str | None, entries: Sequence[Entry]) -> bool:
        wanted = self._wanted(version)
        return ceiling(entries, self.target.namespace or "", wanted, self.target.server)

    def _check_one(self) -> None:
        """Raise an Error if the target is every server, for a message with a single result."""
        if self.target.fanout:
            message = "a call goes to one server: use fanout(), or gather() for the results of all"
            raise Error(Kind.INVALID_TARGET, message, target=self.target, safe_to_retry=True)

    def _wanted(self, version: str | None) -> Version:
        target = self.target if version is None else self.target.replace(version=version)
        target.check_client()
        return Version.parse(target.version) if target.version else DEFAULT_VERSION

    def _watched(self) -> Topic:
        self._transport.check()
        self.target.check_client()
        return self._fleet.topic(self.target.exchange or self._transport.exchange, self.target.topic or "")


def unreserved(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return metadata in lower case, without reserved names."""
    named = ((name.lower(), value) for name, value in metadata.items())
    return {name: value for name, value in named if not name.startswith(("oslorpc-", "grpc-"))}


def result_of(p: Any) -> Any:
    """Decode a payload from a server."""
    text = p.json
    return payload.loads(text, Kind.BAD_RESULT) if text else payload.read(p, Kind.BAD_RESULT, None)


def new_fleet(core: TransportCore, make: Callable[[str, str], Any]) -> tuple[Fleet, Pool]:
    """Make the fleet and the connection pool of a transport."""
    pool = Pool(make, core.security)
    core.security.listen(pool.renew)
    return Fleet(core.registry, pool.get, core.settings.zone), pool
