"""The RPCs of typed services at a server, from their headers to their answers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from oslorpc import behalf
from oslorpc.abort import abort
from oslorpc.around import Running, admit
from oslorpc.dispatcher import drop
from oslorpc.errors import Error, Kind
from oslorpc.interceptor import Peer
from oslorpc.messages import Caller
from oslorpc.policy import Query
from oslorpc.typed.arrival import Head, TypedTaken, find
from oslorpc.typed.context import AbortedError
from oslorpc.typed.service import CALL
from oslorpc.versions import Version

if TYPE_CHECKING:
    from oslorpc.service import Services

Context = grpc.aio.ServicerContext[Any, Any]
_UNKNOWN = "?"  # for a policy, the namespace of a service that is not offered


class Entry:
    """Handles messages of typed services."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def handler(self, path: str, headers: Any) -> Any:
        """Return the handler of an RPC, or None if it is not of a typed service."""
        service, _, method = path.removeprefix("/").partition("/")
        offers = [e for s in self._services.servers if (e := s.dispatcher.table.offer(service)) is not None]
        if not offers and not any(key.startswith("oslorpc-") for key, _ in headers or ()):
            return None
        known = next((e.methods[method] for e in offers if method in e.methods), None)

        async def unary(body: bytes, context: Context) -> Any:
            return await self._answer(body, context, service, method, headers)

        async def stream(body: bytes, context: Context) -> None:
            await self._answer(body, context, service, method, headers)

        if known is not None and known.streaming:
            return grpc.unary_stream_rpc_method_handler(stream)
        return grpc.unary_unary_rpc_method_handler(unary)

    async def _answer(self, body: bytes, context: Context, service: str, method: str, headers: Any) -> Any:
        taken: TypedTaken | None = None
        try:
            taken = await self._take(body, context, service, method, headers)
            dispatcher, of = taken.served.dispatcher, taken.method_of
            if of.typed.declared.delivery != CALL:
                dispatcher.cast(taken, of)
                return b""
            if not of.streaming:
                return taken.written(await dispatcher.run(taken, of, drop))
            await context.send_initial_metadata((("oslorpc-taken", "1"),))

            async def emit(item: Any) -> None:
                await context.write(taken.written(item))

            await dispatcher.run(taken, of, emit)
        except Error as e:
            if e.kind is Kind.OUTCOME_UNKNOWN and taken is None and self._is_cast(service, method):
                return b""  # a repeated message was accepted before
            await self._refuse(context, e, service, method, taken)
        finally:
            self._services.last = time.monotonic()

    def _is_cast(self, service: str, method: str) -> bool:
        offers = [e for s in self._services.servers if (e := s.dispatcher.table.offer(service)) is not None]
        return any(method in e.methods and e.methods[method].typed.declared.delivery != CALL for e in offers)

    async def _take(self, body: bytes, context: Context, service: str, method: str, headers: Any) -> TypedTaken:
        services = self._services
        now = services.last = time.monotonic()
        h = Head(headers)
        name, peer = Caller(headers or ()).name, Peer(context.peer(), services.identify(context))
        if h.caller:
            stated = behalf.parse(h.caller)
            behalf.check(stated)
            if services.gateways is not None and services.gateways.believes(peer.identity):
                name, peer = stated.agent, behalf.original(stated, peer)
        served, absent = None, None
        try:
            served = find(services.servers, service, h, services.boot_id)
        except Error as e:
            absent = e
        self._ask(served, h, service, method, peer, name)
        if served is None:
            assert absent is not None
            raise absent
        try:
            return await self._accept(served, body, context, h, service, method, headers, peer, name, now)
        except Error as e:
            e.server, e.instance_id = served.instance.server, served.instance.id
            raise

    def _ask(self, served: Any, h: Head, service: str, method: str, peer: Peer, name: str) -> None:
        """Refuse a message that the policy denies, even if its server or its method does not
        exist.
        """
        gate = self._services.gate
        if gate is None:
            return
        exchange, topic, server = h.exchange or self._services.exchange, h.topic, h.server
        namespace, delivery = _UNKNOWN, "call"
        if served is not None:
            i = served.instance
            exchange, topic, server = i.exchange, i.topic, i.server
            endpoint = served.dispatcher.table.offer(service)
            namespace = endpoint.namespaces[0]
            if method in endpoint.methods:
                delivery = delivery_of(endpoint.methods[method])
        names = peer.identity.names
        gate.check(Query(names, exchange, topic, namespace, server, method, delivery), peer.identity, peer.addr, name)

    async def _accept(
        self, served: Any, body: bytes, context: Context, h: Head, service: str, method: str, headers: Any, peer: Peer,
        name: str, now: float,
    ) -> TypedTaken:  # fmt: skip
        services, dispatcher = self._services, served.dispatcher
        endpoint = dispatcher.table.offer(service)
        version = h.version or Version(endpoint.version.major, 0)
        size, most = len(body) + len(h.context), services.max_size
        if size > most:
            message = f"the request has {size} bytes, and this server accepts at most {most}: send less at a time"
            raise Error(Kind.TOO_LARGE, message, safe_to_retry=True)
        proved = peer.identity.names[0] if peer.identity.names else ""
        row = dispatcher.row(endpoint.namespaces[0], method, str(version), name, proved)
        of = dispatcher.select_typed(service, version, method, row)
        taken = TypedTaken(served, of, version, h, body, headers, peer, name, most)
        delivery = delivery_of(of)
        if delivery != "cast":
            taken.expect(now, context.time_remaining(), None)
        if services.verifier is not None:
            taken.metadata.pop("authorization", None)
        if services.points.accept or services.points.run:
            seen = taken.seen(delivery)
            if services.points.run:
                taken.around = Running(services.points, seen)
            await admit(services.points, seen)
        if h.missed is not None and h.id and served.missed is not None:
            served.missed.tell(h.missed)
        dispatcher.accept(taken, row, now)
        return taken

    async def _refuse(self, context: Context, e: Error, service: str, method: str, taken: TypedTaken | None) -> None:
        """End an RPC with an error. A status that the method itself set stays the same."""
        self._services.count(e)
        served = taken.served if taken is not None else None
        if served is None:
            served = next((s for s in self._services.servers if e.instance_id and s.instance.id == e.instance_id), None)
        namespace = ""
        if served is not None:
            e.server, e.instance_id = served.instance.server, served.instance.id
            endpoint = served.dispatcher.table.offer(service)
            namespace = endpoint.namespaces[0] if endpoint is not None else ""
        e.method = method
        own = e.__cause__ if isinstance(e.__cause__, AbortedError) else None
        await abort(context, e, served, namespace, None if own is None else (own.code, str(own)))


def delivery_of(method: Any) -> str:
    """Return the delivery of a typed method's messages, for policies and interceptors."""
    if method.streaming:
        return "multicall"
    return "call" if method.typed.declared.delivery == CALL else "cast"
