"""The gRPC services of a process, on an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from oslorpc import intake, wire
from oslorpc.abort import abort
from oslorpc.around import Points, Running, admit
from oslorpc.connection import CALL, CAST, GET_INFO, MONITORED, MULTICALL, PING
from oslorpc.dispatcher import ACTIVE
from oslorpc.errors import Error, Kind
from oslorpc.gate import Gate, identify
from oslorpc.identity import NOBODY, Identity
from oslorpc.interceptor import Message, Peer
from oslorpc.introspect import describe, describe_policy
from oslorpc.messages import Caller, Route, Taken, heartbeats, items
from oslorpc.policy import Query
from oslorpc.target import Target
from oslorpc.token import Verifier
from oslorpc.v1 import introspection_pb2 as introspection
from oslorpc.v1 import rpc_pb2 as pb

_MESSAGES = "/oslorpc.v1.RPCService/"
_USUAL = ("user-agent", "te", "grpc-accept-encoding", "accept-encoding")  # headers that are the same in all RPCs
_REMEMBERED = 1024
_parse = pb.CallRequest.FromString
_HEALTH = "/grpc.health.v1.Health/"
Context = grpc.aio.ServicerContext[Any, Any]


class Services(grpc.GenericRpcHandler):
    """Answers the services of the contract and health, and refuses everything else in its words."""

    def __init__(self, exchange: str, boot_id: str, max_size: int, points: Points) -> None:
        self.points = points
        self.exchange, self.boot_id, self.max_size = exchange, boot_id, max_size
        self.servers: list[intake.Served] = []
        self.began = time.monotonic()
        self.last = 0.0  # when the last message came
        self.gate: Gate | None = None
        self.verifier: Verifier | None = None
        self.secure = False  # connections prove names by TLS
        self.owner = ""  # what all connections to the socket prove
        self.zone = ""  # where the process runs
        self.silent = False  # the process does not describe itself
        self.attached = False  # the socket is for what a gateway sends, which proves nothing by it
        self._changed = asyncio.Condition()
        self._known: set[str] = {""}
        self._routes: dict[tuple[bytes, str, str], Route] = {}
        self._callers: dict[Any, dict[str, Any]] = {}
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        self._handlers: dict[str, Any] = {
            PING: unary(self._ping, introspection.PingRequest.FromString, introspection.PingResponse.SerializeToString),
            GET_INFO: unary(
                self._info, introspection.GetInfoRequest.FromString, introspection.GetInfoResponse.SerializeToString
            ),
            _HEALTH + "Check": unary(
                self._health, wire.HealthCheckRequest.FromString, wire.HealthCheckResponse.SerializeToString
            ),
            _HEALTH + "Watch": stream(
                self._watch_health, wire.HealthCheckRequest.FromString, wire.HealthCheckResponse.SerializeToString
            ),
        }

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return the handler of an RPC.

        Unknown ones are refused with a detail, so that clients know that nothing ran.
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
            handlers = self._handlers
        handler = handlers.get(path)
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
                if e.kind is Kind.OUTCOME_UNKNOWN:  # a repeated one is answered as accepted
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
        """Take a message in, or raise why it is not taken."""
        now = self.last = time.monotonic()
        m = _read(body).message
        key = m.target.SerializeToString(), m.method, m.instance_id
        missed, bounded, order_key = m.HasField("missed"), m.HasField("remaining"), m.order_key
        route = self._routes.get(key)
        identity = NOBODY
        if self.gate is not None or self.verifier is not None:
            identity = self._ask(m, context, caller, "call" if delivery == "monitored" else delivery)
        elif self.secure:
            identity = identify(context)
        proved = identity.names[0] if identity.names else self.owner
        if route is None:
            route = self._route(body, m, caller, proved)
            if len(self._routes) < _REMEMBERED and not route.served.shared:
                self._routes[key] = route
        elif missed or bounded or order_key or caller.routed or len(body) > self.max_size:
            self._check_known(body, m, caller)
        served = route.served
        taken = Taken(m, route, caller.name, len(body), self.max_size)
        taken.order_key = order_key
        if m.metadata:
            taken.metadata = intake.metadata(m)
            if self.verifier is not None:
                taken.metadata.pop("authorization", None)
        if delivery != "cast":
            taken.expect(now, context.time_remaining(), intake.seconds(m.remaining) if bounded else None)
        if self.points.accept or self.points.run:
            await self._intercept(m, taken, context, identity, delivery)
        if missed and served.missed is not None:  # a refusal for want of a place is an answer, too
            served.missed.tell(intake.seconds(m.missed))
        row = route.rows.get((caller.name, proved))
        if row is None:
            row = served.dispatcher.row(m.target.namespace, m.method, route.version, caller.name, proved)
            if len(route.rows) < _REMEMBERED:
                route.rows[caller.name, proved] = row
        try:
            served.dispatcher.accept(taken, row, now)
        except Error as e:
            raise _about(e, served) from None
        return taken

    def _proved(self, context: Context) -> Identity:
        proved = identify(context)
        return NOBODY if self.attached and proved.proof == "user" else proved

    def _identify(self, context: Context) -> Identity:
        """Return what a caller proved. Where tokens are verified, it must have proved something."""
        proved = self._proved(context)
        if self.verifier is None:
            return proved
        return self.verifier.identify(proved, context.invocation_metadata(), context.peer())

    def _ask(self, m: pb.Message, context: Context, caller: Caller, delivery: str) -> Identity:
        """Refuse a message that the policy denies, whether its server and its method are there or not."""
        identity = self._identify(context)
        if self.gate is None:
            return identity
        served = None
        with contextlib.suppress(Error):
            served = intake.find(self.servers, m, self.exchange, self.boot_id)
        server = served.instance.server if served is not None else m.target.server
        to = m.target
        q = Query(identity.names, to.exchange or self.exchange, to.topic, to.namespace, server, m.method, delivery)
        self.gate.check(q, identity, context.peer(), caller.name)
        return identity

    async def _intercept(
        self, m: pb.Message, taken: Taken, context: Context, identity: Identity, delivery: str
    ) -> None:
        """Have the interceptors accept a message, or raise their refusal."""
        identity = identity if identity.names else self._proved(context)
        seen = taken.seen(m, Peer(context.peer(), identity), delivery, self.exchange)
        seen.metadata = intake.of_headers(context.invocation_metadata()) | seen.metadata
        if self.verifier is not None:
            seen.metadata.pop("authorization", None)
        if self.points.run:
            taken.around = Running(self.points, seen)
        try:
            await admit(self.points, seen)
        except Error as e:
            raise _about(e, taken.route.served) from e.__cause__

    async def _admit_question(self, context: Context, method: str) -> None:
        if self.points.accept:
            peer = Peer(context.peer(), self._identify(context))
            await admit(self.points, Message(Target(), method, "inspect", peer=peer))

    def _inspectable(self, context: Context, method: str) -> list[intake.Served]:
        """Return the servers that a caller may ask about."""
        if self.gate is None and self.verifier is None:
            return self.servers
        names = self._identify(context).names
        if self.gate is None:
            return self.servers
        return [
            s
            for s in self.servers
            if self.gate.permits(
                Query(names, s.instance.exchange, s.instance.topic, "", s.instance.server, method, "inspect")
            )
        ]

    async def _check_service(self, context: Context, method: str) -> None:
        if self.verifier is None and self.gate is None:
            return
        try:
            identity = self._identify(context)
            if self.gate is not None:
                self.gate.check(Query(identity.names, service=method), identity, context.peer(), "")
        except Error as e:
            await abort(context, e)

    def _check_known(self, body: bytes, m: pb.Message, caller: Caller) -> None:
        """Check what may be wrong with a message though its route is known."""
        intake.check_times(m)
        if caller.routed:
            intake.check_headers(m, caller.headers)
        if len(body) > self.max_size:
            intake.check_size(m, self.max_size)

    def _route(self, body: bytes, m: pb.Message, caller: Caller, proved: str) -> Route:
        """Check a message as a whole, and find its server and its method."""
        version = intake.check(m, _read(body).HasField("message"))
        intake.check_headers(m, caller.headers)
        served = intake.find(self.servers, m, self.exchange, self.boot_id)
        try:
            intake.check_size(m, self.max_size)
            method = served.dispatcher.select(m.target.namespace, version, m.method, caller.name, proved)
        except Error as e:
            raise _about(e, served) from None
        return Route(served, method, m.target.version, str(version))

    async def _refuse(self, context: Context, e: Error, body: bytes, taken: Taken | None) -> None:
        """End an RPC with an error."""
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

    async def _ping(self, request: introspection.PingRequest, context: Context) -> Any:
        try:
            seen = self._inspectable(context, "Ping")
            if self.gate is not None and not any(request.instance_id in ("", s.instance.id) for s in seen):
                raise _denied()
            await self._admit_question(context, "Ping")
            intake.ping(self.servers, request.instance_id, self.boot_id)
        except Error as e:
            await abort(context, e)
        return introspection.PingResponse()

    async def _info(self, request: introspection.GetInfoRequest, context: Context) -> Any:
        info = introspection.GetInfoResponse(boot_id=self.boot_id, process_id=os.getpid(), build="python")
        info.zone = self.zone
        info.uptime.FromNanoseconds(int((time.monotonic() - self.began) * 1e9))
        try:
            seen = self._inspectable(context, "GetInfo")
            if self.gate is not None and not seen:
                raise _denied()
            await self._admit_question(context, "GetInfo")
            if self.silent:
                message = "the server describes itself to no program: introspection is hidden (hide=introspection)"
                raise Error(Kind.ACCESS_DENIED, message, safe_to_retry=True)
        except Error as e:
            await abort(context, e)
        for s in seen:
            if not request.HasField("topic") or request.topic == s.instance.topic:
                describe(info.servers.add(), s, request.requests)
        if self.gate is not None and len(seen) == len(self.servers):
            describe_policy(info.policy, self.gate)
        return info

    def _status(self, service: str) -> int:
        serving = {""} if any(s.dispatcher.phase == ACTIVE for s in self.servers) else set()
        for s in self.servers:
            names = {f"{s.instance.exchange}/{s.instance.topic}"}
            if s.instance.exchange == self.exchange:
                names.add(s.instance.topic)
            self._known |= names
            if s.dispatcher.phase == ACTIVE:
                serving |= names
        if service not in self._known:
            return wire.SERVICE_UNKNOWN
        return wire.SERVING if service in serving else wire.NOT_SERVING

    async def _health(self, request: Any, context: Context) -> Any:
        await self._check_service(context, "grpc.health.v1.Health/Check")
        found = self._status(request.service)
        if found == wire.SERVICE_UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return wire.HealthCheckResponse(status=found)

    async def _watch_health(self, request: Any, context: Context) -> None:
        await self._check_service(context, "grpc.health.v1.Health/Watch")
        before = -1
        while True:
            async with self._changed:
                while (now := self._status(request.service)) == before:
                    await self._changed.wait()
            await context.write(wire.HealthCheckResponse(status=now))
            before = now

    async def changed(self) -> None:
        """Forget routes, and tell those who watch the health that a phase changed."""
        self._routes.clear()
        async with self._changed:
            self._changed.notify_all()


def _read(body: bytes) -> pb.CallRequest:
    """Read a request. Those of all RPCs have the message in the same field."""
    try:
        return _parse(body)
    except DecodeError:
        message = "the request is not of the contract: it cannot be decoded"
        raise Error(Kind.INVALID_TARGET, message, safe_to_retry=True) from None


def _denied() -> Error:
    return Error(Kind.ACCESS_DENIED, "the policy of the server does not allow it", safe_to_retry=True)


def _about(e: Error, served: intake.Served) -> Error:
    e.server, e.instance_id = served.instance.server, served.instance.id
    return e
