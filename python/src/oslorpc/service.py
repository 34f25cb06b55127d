"""The gRPC services of a process, on an event loop."""

from __future__ import annotations

import collections
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from oslorpc import behalf, intake, jsontext
from oslorpc.abort import abort
from oslorpc.around import Points, Running, admit
from oslorpc.behalf import Gateways
from oslorpc.connection import CALL, CAST, MONITORED, MULTICALL
from oslorpc.errors import Error, Kind
from oslorpc.gate import Gate, identify
from oslorpc.grpcrpc import Rpc
from oslorpc.identity import NOBODY, Identity
from oslorpc.interceptor import Peer
from oslorpc.messages import Caller, Route, Taken, heartbeats, items
from oslorpc.policy import Query
from oslorpc.questions import Questions
from oslorpc.token import Verifier
from oslorpc.typed.entry import Entry
from oslorpc.v1 import rpc_pb2 as pb

_MESSAGES = "/oslorpc.v1.RPCService/"
_USUAL = ("user-agent", "te", "grpc-accept-encoding", "accept-encoding")  # headers that are the same in all RPCs
_OURS = ("/oslorpc.v1.", "/grpc.")
_REMEMBERED = 1024
_TOO_LARGE, _TOO_DEEP = "a message is too large", "a message is nested too deeply"  # in introspection
_parse = pb.CallRequest.FromString
Context = grpc.aio.ServicerContext[Any, Any]


class Services(grpc.GenericRpcHandler):
    """Serves the protocol's services and health, and refuses all other RPCs with a detail."""

    def __init__(self, exchange: str, boot_id: str, max_size: int, points: Points) -> None:
        self.points = points
        self.exchange, self.boot_id, self.max_size = exchange, boot_id, max_size
        self.servers: list[intake.Served] = []
        self.began = time.monotonic()
        self.last = 0.0  # when the last message arrived
        self.gate: Gate | None = None
        self.verifier: Verifier | None = None
        self.gateways: Gateways | None = None  # the gateways that are trusted to name original callers
        self.secure = False  # connections prove names by TLS
        self.owner = ""  # the name that each connection to the Unix socket proves
        self.zone = ""  # the zone where the process runs
        self.silent = False  # introspection is among what the process hides
        self.attached = False  # the socket carries a gateway's messages, so it proves no caller
        self._routes: dict[tuple[bytes, str, str], Route] = {}
        self._callers: dict[Any, dict[str, Any]] = {}
        self.refusals: collections.Counter[str] = collections.Counter()  # refusals because of limits, by reason
        self._questions = Questions(self)
        self._typed = Entry(self)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return the handler of an RPC.

        Unknown RPCs are refused with a detail, so that clients know that nothing ran.
        """
        path = handler_call_details.method
        if path.startswith(_MESSAGES):
            headers: Any = handler_call_details.invocation_metadata
            handlers = self._callers.get(headers)
            if handlers is None:
                handlers = self._handlers_for(Caller(headers or ()))
                if len(self._callers) < _REMEMBERED and all(key in _USUAL for key, _ in headers or ()):
                    self._callers[headers] = handlers
        else:
            handlers = self._questions.handlers
        handler = handlers.get(path)
        if handler is None and not path.startswith(_OURS):
            handler = self._typed.handler(path, handler_call_details.invocation_metadata)
        if handler is not None or path.startswith("/grpc.reflection."):
            return handler

        async def unknown(request: bytes, context: Context) -> None:
            message = f"this program does not know the method {path}"
            await abort(
                context, Error(Kind.NO_SUCH_METHOD, message, method=path.rpartition("/")[2], safe_to_retry=True)
            )

        return grpc.unary_unary_rpc_method_handler(unknown)

    def _handlers_for(self, caller: Caller) -> dict[str, Any]:
        """Return handlers for messages with the same headers. Requests and results are bytes."""

        async def call(body: bytes, context: Context) -> Any:
            taken: Taken | None = None
            try:
                taken = await self._take(body, context, caller, "call")
                if isinstance(context, Rpc):
                    taken.promise = context.promise
                return await taken.result()
            except Error as e:
                await self._refuse(context, e, body, taken)
            finally:
                self.last = time.monotonic()

        async def cast(body: bytes, context: Context) -> Any:
            try:
                taken = await self._take(body, context, caller, "cast")
                taken.route.served.dispatcher.cast(taken, taken.route.method)
                return b""
            except Error as e:
                if e.kind is Kind.OUTCOME_UNKNOWN:  # a repeated message was accepted before
                    return b""
                await self._refuse(context, e, body, None)
            finally:
                self.last = time.monotonic()

        async def stream(
            body: bytes, context: Context, delivery: str, work: Callable[[Taken, Context], Awaitable[None]]
        ) -> None:
            taken: Taken | None = None
            try:
                taken = await self._take(body, context, caller, delivery)
                await context.send_initial_metadata((("oslorpc-taken", "1"),))
                await work(taken, context)
            except Error as e:
                await self._refuse(context, e, body, taken)
            finally:
                self.last = time.monotonic()

        async def multicall(body: bytes, context: Context) -> None:
            await stream(body, context, "multicall", items)

        async def monitored(body: bytes, context: Context) -> None:
            request = pb.MonitoredCallRequest.FromString(body)
            interval = 1.0
            if request.HasField("heartbeat_interval"):
                interval = max(intake.seconds(request.heartbeat_interval), 0.01)
            await stream(body, context, "monitored", lambda taken, context: heartbeats(taken, context, interval))

        return {
            CALL: grpc.unary_unary_rpc_method_handler(call),
            CAST: grpc.unary_unary_rpc_method_handler(cast),
            MULTICALL: grpc.unary_stream_rpc_method_handler(multicall),
            MONITORED: grpc.unary_stream_rpc_method_handler(monitored),
        }

    async def _take(self, body: bytes, context: Context, caller: Caller, delivery: str) -> Taken:
        """Accept a message, or raise an Error that says why it is refused."""
        now = self.last = time.monotonic()
        m = _read(body).message
        key = m.target.SerializeToString(), m.method, m.instance_id
        missed, bounded, order_key = m.HasField("missed"), m.HasField("remaining"), m.order_key
        route = self._routes.get(key)
        name, identity, origin = caller.name, NOBODY, None
        if m.HasField("caller") and (origin := self._origin(m.caller, context)) is not None:
            name = m.caller.agent
        if self.gate is not None or self.verifier is not None:
            identity = self._ask(m, context, origin, name, "call" if delivery == "monitored" else delivery)
        elif origin is not None:
            identity = origin.identity
        elif self.secure:
            identity = identify(context)
        proved = identity.names[0] if identity.names else self.owner if origin is None else ""
        if route is None:
            route = self._route(body, m, caller, name, proved)
            if len(self._routes) < _REMEMBERED and not route.served.shared:
                self._routes[key] = route
        elif missed or bounded or order_key or caller.routed or len(body) > self.max_size:
            self._check_known(body, m, caller)
        served = route.served
        taken = Taken(m, route, name, len(body), self.max_size)
        taken.order_key = order_key
        if m.metadata:
            taken.metadata = intake.metadata(m)
            if self.verifier is not None:
                taken.metadata.pop("authorization", None)
        if delivery != "cast":
            taken.expect(now, context.time_remaining(), intake.seconds(m.remaining) if bounded else None)
        if self.points.accept or self.points.run:
            await self._intercept(m, taken, context, origin, identity, delivery)
        if missed and served.missed is not None:  # a message that is refused for lack of a place carries a report, too
            served.missed.tell(intake.seconds(m.missed))
        row = route.rows.get((name, proved))
        if row is None:
            row = served.dispatcher.row(m.target.namespace, m.method, route.version, name, proved)
            if len(route.rows) < _REMEMBERED:
                route.rows[name, proved] = row
        try:
            served.dispatcher.accept(taken, row, now)
        except Error as e:
            raise _about(e, served) from None
        return taken

    def _proved(self, context: Context) -> Identity:
        proved = identify(context)
        return NOBODY if self.attached and proved.proof == "user" else proved

    def identify(self, context: Context) -> Identity:
        """Return the identity that a caller proved.

        If tokens are verified, the caller must have proved one.
        """
        proved = self._proved(context)
        if self.verifier is None:
            return proved
        return self.verifier.identify(proved, context.invocation_metadata(), context.peer())

    def _origin(self, stated: pb.Caller, context: Context) -> Peer | None:
        """Return the original caller that a gateway names, or None if the gateway is not
        trusted.
        """
        behalf.check(stated)
        if self.gateways is None:
            return None
        gateway = Peer(context.peer(), self.identify(context))
        return behalf.original(stated, gateway) if self.gateways.believes(gateway.identity) else None

    def _ask(self, m: pb.Message, context: Context, origin: Peer | None, name: str, delivery: str) -> Identity:
        """Refuse a message that the policy denies, even if its server or its method does not
        exist.
        """
        identity = self.identify(context) if origin is None else origin.identity
        if self.gate is None:
            return identity
        served = None
        with contextlib.suppress(Error):
            served = intake.find(self.servers, m, self.exchange, self.boot_id)
        server = served.instance.server if served is not None else m.target.server
        to = m.target
        q = Query(identity.names, to.exchange or self.exchange, to.topic, to.namespace, server, m.method, delivery)
        self.gate.check(q, identity, context.peer() if origin is None else origin.addr, name)
        return identity

    async def _intercept(
        self, m: pb.Message, taken: Taken, context: Context, origin: Peer | None, identity: Identity, delivery: str
    ) -> None:
        """Let the interceptors accept a message, or raise their refusal."""
        if origin is None:
            origin = Peer(context.peer(), identity if identity.names else self._proved(context))
        seen = taken.seen(m, origin, delivery, self.exchange)
        seen.metadata = intake.of_headers(context.invocation_metadata()) | seen.metadata
        if self.verifier is not None:
            seen.metadata.pop("authorization", None)
        if self.points.run:
            taken.around = Running(self.points, seen)
        try:
            await admit(self.points, seen)
        except Error as e:
            raise _about(e, taken.route.served) from e.__cause__

    def _check_known(self, body: bytes, m: pb.Message, caller: Caller) -> None:
        """Check the parts of a message that may differ between messages with the same route."""
        intake.check_times(m)
        if caller.routed:
            intake.check_headers(m, caller.headers)
        if len(body) > self.max_size:
            intake.check_size(m, self.max_size)

    def _route(self, body: bytes, m: pb.Message, caller: Caller, name: str, proved: str) -> Route:
        """Check a whole message, and find its server and its method."""
        version = intake.check(m, _read(body).HasField("message"))
        intake.check_headers(m, caller.headers)
        served = intake.find(self.servers, m, self.exchange, self.boot_id)
        try:
            intake.check_size(m, self.max_size)
            method = served.dispatcher.select(m.target.namespace, version, m.method, name, proved)
        except Error as e:
            raise _about(e, served) from None
        return Route(served, method, m.target.version, str(version))

    def count(self, e: Error) -> None:
        """Count a message that was refused because of a limit."""
        if e.kind is Kind.TOO_LARGE and e.safe_to_retry:
            self.refusals[_TOO_LARGE] += 1
        elif e.kind is Kind.BAD_ARGUMENTS and e.message.endswith(jsontext.TOO_DEEP):
            self.refusals[_TOO_DEEP] += 1

    async def _refuse(self, context: Context, e: Error, body: bytes, taken: Taken | None) -> None:
        """End an RPC with an error."""
        self.count(e)
        served = taken.route.served if taken is not None else None
        if served is not None:
            _about(e, served)
        elif e.instance_id:
            served = next((s for s in self.servers if s.instance.id == e.instance_id), None)
        try:
            m = _read(body).message
            e.method, namespace = m.method, m.target.namespace
        except Error:
            e.method = namespace = ""
        await abort(context, e, served, namespace)

    async def changed(self) -> None:
        """Drop all routes, and notify watchers of the health that a phase changed."""
        self._routes.clear()
        await self._questions.changed()


def _read(body: bytes) -> pb.CallRequest:
    """Parse a request. The requests of all RPCs have the message in the same field."""
    try:
        return _parse(body)
    except DecodeError:
        message = "the request is not of the contract: it cannot be decoded"
        raise Error(Kind.INVALID_TARGET, message, safe_to_retry=True) from None


def _about(e: Error, served: intake.Served) -> Error:
    e.server, e.instance_id = served.instance.server, served.instance.id
    return e
