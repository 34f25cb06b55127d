"""Introspection of a process: pings, information and health."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from oslorpc import intake, wire
from oslorpc.abort import abort
from oslorpc.around import admit
from oslorpc.connection import GET_INFO, PING
from oslorpc.dispatcher import ACTIVE
from oslorpc.errors import Error, Kind
from oslorpc.interceptor import Message, Peer
from oslorpc.introspect import describe, describe_policy
from oslorpc.policy import Query
from oslorpc.target import Target
from oslorpc.v1 import introspection_pb2 as introspection

if TYPE_CHECKING:
    from oslorpc.service import Services

_HEALTH = "/grpc.health.v1.Health/"
Context = grpc.aio.ServicerContext[Any, Any]


class Questions:
    """Answers the introspection requests of other programs."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._changed = asyncio.Condition()
        self._known: set[str] = {""}
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        self.handlers: dict[str, Any] = {
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

    async def _admit_question(self, context: Context, method: str) -> None:
        if self._services.points.accept:
            peer = Peer(context.peer(), self._services.identify(context))
            await admit(self._services.points, Message(Target(), method, "inspect", peer=peer))

    def _inspectable(self, context: Context, method: str) -> list[intake.Served]:
        """Return the servers that a caller may ask about."""
        if self._services.gate is None and self._services.verifier is None:
            return self._services.servers
        names = self._services.identify(context).names
        if self._services.gate is None:
            return self._services.servers
        return [
            s
            for s in self._services.servers
            if self._services.gate.permits(
                Query(names, s.instance.exchange, s.instance.topic, "", s.instance.server, method, "inspect")
            )
        ]

    async def _check_service(self, context: Context, method: str) -> None:
        if self._services.verifier is None and self._services.gate is None:
            return
        try:
            identity = self._services.identify(context)
            if self._services.gate is not None:
                self._services.gate.check(Query(identity.names, service=method), identity, context.peer(), "")
        except Error as e:
            await abort(context, e)

    async def _ping(self, request: introspection.PingRequest, context: Context) -> Any:
        try:
            seen = self._inspectable(context, "Ping")
            if self._services.gate is not None and not any(request.instance_id in ("", s.instance.id) for s in seen):
                raise _denied()
            await self._admit_question(context, "Ping")
            intake.ping(self._services.servers, request.instance_id, self._services.boot_id)
        except Error as e:
            await abort(context, e)
        return introspection.PingResponse()

    async def _info(self, request: introspection.GetInfoRequest, context: Context) -> Any:
        info = introspection.GetInfoResponse(boot_id=self._services.boot_id, process_id=os.getpid(), build="python")
        info.zone = self._services.zone
        info.uptime.FromNanoseconds(int((time.monotonic() - self._services.began) * 1e9))
        try:
            seen = self._inspectable(context, "GetInfo")
            if self._services.gate is not None and not seen:
                raise _denied()
            await self._admit_question(context, "GetInfo")
            if self._services.silent:
                message = "the server describes itself to no program: introspection is hidden (hide=introspection)"
                raise Error(Kind.ACCESS_DENIED, message, safe_to_retry=True)
        except Error as e:
            await abort(context, e)
        for s in seen:
            if not request.HasField("topic") or request.topic == s.instance.topic:
                describe(info.servers.add(), s, request.requests)
        if len(seen) == len(self._services.servers):
            for reason, refused in sorted(self._services.refusals.items()):
                info.limits.add(reason=reason, refused=refused)
        if self._services.gate is not None and len(seen) == len(self._services.servers):
            describe_policy(info.policy, self._services.gate)
        return info

    def _status(self, service: str) -> int:
        serving = {""} if any(s.dispatcher.phase == ACTIVE for s in self._services.servers) else set()
        for s in self._services.servers:
            names = {e.service for e in s.dispatcher.table.endpoints if e.service}
            names |= {f"{s.instance.exchange}/{s.instance.topic}"}
            if s.instance.exchange == self._services.exchange:
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
        """Notify watchers of the health that a phase changed."""
        async with self._changed:
            self._changed.notify_all()


def _denied() -> Error:
    return Error(Kind.ACCESS_DENIED, "the policy of the server does not allow it", safe_to_retry=True)
