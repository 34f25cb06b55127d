"""The gRPC services of a process, on an event loop."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio

from oslorpc import intake, status, wire
from oslorpc.connection import CALL, CAST, GET_INFO, MONITORED, MULTICALL, PING
from oslorpc.context import Incoming
from oslorpc.dispatcher import ACTIVE, writable
from oslorpc.endpoint import Method
from oslorpc.errors import Error, Kind
from oslorpc.introspect import describe
from oslorpc.v1 import introspection_pb2 as introspection
from oslorpc.v1 import rpc_pb2 as pb
from oslorpc.v1 import target_pb2

_HEALTH = "/grpc.health.v1.Health/"
Context = grpc.aio.ServicerContext[Any, Any]


class Services(grpc.GenericRpcHandler):
    """Answers the services of the contract and health, and refuses everything else in its words."""

    def __init__(self, exchange: str, boot_id: str, max_size: int) -> None:
        self.exchange, self.boot_id, self.max_size = exchange, boot_id, max_size
        self.servers: list[intake.Served] = []
        self.began = time.monotonic()
        self.last = 0.0  # when the last message came
        self._changed = asyncio.Condition()
        self._known: set[str] = {""}
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        self._handlers: dict[str, Any] = {
            CALL: unary(self._call, pb.CallRequest.FromString, pb.CallResponse.SerializeToString),
            CAST: unary(self._cast, pb.CastRequest.FromString, pb.CastResponse.SerializeToString),
            MULTICALL: stream(self._multicall, pb.MulticallRequest.FromString, pb.MulticallResponse.SerializeToString),
            MONITORED: stream(
                self._monitored, pb.MonitoredCallRequest.FromString, pb.MonitoredCallResponse.SerializeToString
            ),
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
        handler = self._handlers.get(path)
        if handler is not None or path.startswith("/grpc.reflection."):
            return handler

        async def unknown(request: bytes, context: Context) -> None:
            message = f"this program does not know the method {path}"
            await _abort(
                context, Error(Kind.NO_SUCH_METHOD, message, method=path.rpartition("/")[2], safe_to_retry=True)
            )

        return grpc.unary_unary_rpc_method_handler(unknown)

    async def _answer(
        self,
        request: Any,
        context: Context,
        cast: bool,
        work: Callable[[Incoming, Method, Any, intake.Served], Awaitable[Any]],
    ) -> Any:
        """Take a message in, and do its work; its error becomes the status of the RPC."""
        m: pb.Message = request.message
        self.last = time.monotonic()
        served: intake.Served | None = None
        try:
            headers = context.invocation_metadata() or ()
            version = intake.check(m, request.HasField("message"))
            intake.check_headers(m, headers)
            served = intake.find(self.servers, m, self.exchange, self.boot_id)
            incoming = intake.receive(
                m, _caller(headers), context.time_remaining(), served.instance.server, cast, self.max_size
            )
            if m.HasField("missed") and served.missed is not None:
                served.missed(f"a message failed {intake.seconds(m.missed):g} s ago")
            method, ticket = served.dispatcher.accept(incoming, m.target.namespace, version)
            return await work(incoming, method, ticket, served)
        except Error as e:
            if cast and e.kind is Kind.OUTCOME_UNKNOWN:  # a repeated one is answered as accepted
                return pb.CastResponse()
            e.method = m.method
            if served is not None:
                e.server, e.instance_id = served.instance.server, served.instance.id
            await _abort(context, e, served)
        finally:
            self.last = time.monotonic()

    async def _call(self, request: pb.CallRequest, context: Context) -> Any:
        async def work(incoming: Incoming, method: Method, ticket: Any, served: intake.Served) -> Any:
            return pb.CallResponse(result=await self._result(request.message, incoming, method, ticket, served))

        return await self._answer(request, context, False, work)

    async def _result(
        self, m: pb.Message, incoming: Incoming, method: Method, ticket: Any, served: intake.Served
    ) -> Any:
        """Run a message, and return its last item."""
        last: list[Any] = [writable(None, _as_value(m), self.max_size)]

        async def emit(item: Any) -> None:
            last[0] = writable(item, _as_value(m), self.max_size)

        await served.dispatcher.run(incoming, method, ticket, lambda: _content(method, m), emit)
        return last[0]

    async def _cast(self, request: pb.CastRequest, context: Context) -> Any:
        async def work(incoming: Incoming, method: Method, ticket: Any, served: intake.Served) -> Any:
            served.dispatcher.cast(incoming, method, ticket, lambda: _content(method, request.message))
            return pb.CastResponse()

        return await self._answer(request, context, True, work)

    async def _multicall(self, request: pb.MulticallRequest, context: Context) -> None:
        m = request.message

        async def work(incoming: Incoming, method: Method, ticket: Any, served: intake.Served) -> None:
            await context.send_initial_metadata((("oslorpc-taken", "1"),))

            async def emit(item: Any) -> None:
                await context.write(pb.MulticallResponse(item=writable(item, _as_value(m), self.max_size)))

            await served.dispatcher.run(incoming, method, ticket, lambda: _content(method, m), emit)

        await self._answer(request, context, False, work)

    async def _monitored(self, request: pb.MonitoredCallRequest, context: Context) -> None:
        interval = 1.0
        if request.HasField("heartbeat_interval"):
            interval = max(intake.seconds(request.heartbeat_interval), 0.01)

        async def work(incoming: Incoming, method: Method, ticket: Any, served: intake.Served) -> None:
            await context.send_initial_metadata((("oslorpc-taken", "1"),))
            task = asyncio.ensure_future(self._result(request.message, incoming, method, ticket, served))
            try:
                while not (await asyncio.wait([task], timeout=interval))[0]:
                    await context.write(pb.MonitoredCallResponse(heartbeat=pb.Heartbeat()))
            except BaseException:
                incoming.cancel()
                task.cancel()
                raise
            await context.write(pb.MonitoredCallResponse(response=pb.CallResponse(result=task.result())))

        await self._answer(request, context, False, work)

    async def _ping(self, request: introspection.PingRequest, context: Context) -> Any:
        try:
            intake.ping(self.servers, request.instance_id, self.boot_id)
        except Error as e:
            await _abort(context, e)
        return introspection.PingResponse()

    async def _info(self, request: introspection.GetInfoRequest, context: Context) -> Any:
        info = introspection.GetInfoResponse(boot_id=self.boot_id, process_id=os.getpid(), build="python")
        info.uptime.FromNanoseconds(int((time.monotonic() - self.began) * 1e9))
        for s in self.servers:
            if not request.HasField("topic") or request.topic == s.instance.topic:
                describe(info.servers.add(), s, request.requests)
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
        found = self._status(request.service)
        if found == wire.SERVICE_UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return wire.HealthCheckResponse(status=found)

    async def _watch_health(self, request: Any, context: Context) -> None:
        before = -1
        while True:
            async with self._changed:
                while (now := self._status(request.service)) == before:
                    await self._changed.wait()
            await context.write(wire.HealthCheckResponse(status=now))
            before = now

    async def changed(self) -> None:
        """Tell those who watch the health that a phase changed."""
        async with self._changed:
            self._changed.notify_all()


def _content(method: Method, m: pb.Message) -> tuple[dict[str, Any], dict[str, Any]]:
    return (method.read or intake.content)(m)


def _as_value(m: pb.Message) -> bool:
    return bool(m.kwargs.WhichOneof("encoding") != "json")


def _caller(headers: Any) -> str:
    for key, value in headers:
        if key == "user-agent":
            return str(value).partition(" grpc-")[0]
    return ""


async def _abort(context: Context, e: Error, served: intake.Served | None = None) -> None:
    implemented = None
    if e.kind is Kind.UNSUPPORTED_VERSION and served is not None:
        implemented = [
            target_pb2.Implementation(namespace=i.namespace or None, version=str(i.version))
            for i in served.dispatcher.table.implemented
        ]
    code, text, encoded = status.encode(e, implemented)
    context.set_trailing_metadata(((status.DETAILS, encoded),))
    await context.abort(_CODES[code], text)


_CODES = {code.value[0]: code for code in grpc.StatusCode}
