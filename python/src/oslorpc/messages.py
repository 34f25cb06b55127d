"""Received messages: their senders, their routes, and their content."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc.aio

from oslorpc import discreet, intake
from oslorpc.context import Incoming
from oslorpc.dispatcher import drop, written
from oslorpc.endpoint import Method
from oslorpc.errors import Error
from oslorpc.interceptor import Message, Peer
from oslorpc.target import Target
from oslorpc.v1 import rpc_pb2 as pb

_HEARTBEAT = pb.MonitoredCallResponse(heartbeat=pb.Heartbeat()).SerializeToString()
Context = grpc.aio.ServicerContext[Any, Any]


class Caller:
    """The sender of RPCs with the same headers, and the handlers for its RPCs."""

    __slots__ = ("headers", "name", "routed")

    def __init__(self, headers: Any) -> None:
        self.headers = headers
        self.name = ""
        self.routed = any(key.startswith("oslorpc-") for key, _ in headers)
        for key, value in headers:
            if key == "user-agent":
                self.name = str(value).partition(" grpc-")[0]


class Route:
    """The server and the method of messages that ask for the same ones, so that they are looked up
    once.
    """

    __slots__ = ("asked", "method", "rows", "served", "version")

    def __init__(self, served: intake.Served, method: Method, asked: str, version: str) -> None:
        self.served, self.method = served, method
        self.asked, self.version = asked, version  # the version as messages give it, and as counters name it
        self.rows: dict[tuple[str, str], list[float] | None] = {}  # counters, by caller and proved name


class Taken(Incoming):
    """An accepted message."""

    __slots__ = ("_answered", "_m", "_most", "as_value", "route")

    def __init__(self, m: pb.Message, route: Route, caller: str, size: int, most: int) -> None:
        super().__init__(m.method, m.id, route.asked, route.served.instance.server, caller, size)
        self._m, self.route, self._most = m, route, most
        self._answered = False  # the method's thread sends the result
        self.as_value = True  # whether the result is a protobuf value: if the arguments are not JSON text

    def content(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Decode the request context and the keyword arguments."""
        m, p = self._m, self._m.kwargs
        self.as_value = not p.json and p.WhichOneof("encoding") != "json"
        if self.route.method.read is not None:
            return self.route.method.read(m)
        return intake.content("context", m.context) if m.HasField("context") else {}, intake.content("kwargs", p)

    def written(self, value: Any) -> bytes:
        """Return a result in the same encoding as the arguments."""
        try:
            return written(value, self.as_value, self._most)
        except Error as e:
            if not self.route.served.dispatcher.table.discreet:
                raise
            told = discreet.result(e, self.server, self.method)
            told._of_payload = True  # type: ignore[attr-defined]
            raise told from None

    def answer(self, work: Callable[[], Any]) -> Callable[[], None]:
        """Run the method in its thread, and return a function that sends the result from there."""
        assert self.promise is not None
        response = self.written(work())
        self._answered = True
        return self.promise(response)

    def seen(self, m: pb.Message, peer: Peer, delivery: str, exchange: str) -> Message:
        """Return the message in the view of interceptors."""
        i, to = self.route.served.instance, m.target
        target = Target(
            topic=to.topic, exchange=to.exchange or exchange, namespace=to.namespace or None,
            version=self.route.version, server=to.server or None,
        )  # fmt: skip
        monitored = delivery == "monitored"
        return Message(
            target, m.method, "call" if monitored else delivery, monitored, m.id, m.order_key, i.server, i.id,
            caller=self.caller, peer=peer, metadata=dict(self.metadata),
        )  # fmt: skip

    async def result(self) -> bytes:
        """Run the message, and return its result, or its last item.

        Returns nothing if the method's thread has sent the result.
        """
        route = self.route
        if not route.method.streaming:
            value = await route.served.dispatcher.run(self, route.method, drop)
            return b"" if self._answered else self.written(value)
        last: list[bytes] = []

        async def emit(item: Any) -> None:
            last[:] = [self.written(item)]

        await route.served.dispatcher.run(self, route.method, emit)
        return last[0] if last else self.written(None)


async def items(taken: Taken, context: Context) -> None:
    """Stream the items of a method. A plain method has its result as the only item."""

    async def emit(item: Any) -> None:
        await context.write(taken.written(item))

    route = taken.route
    value = await route.served.dispatcher.run(taken, route.method, emit)
    if not route.method.streaming:
        await emit(value)


async def heartbeats(taken: Taken, context: Context, interval: float) -> None:
    """Send heartbeats until the result is available, and then the result."""
    task = asyncio.ensure_future(taken.result())
    try:
        while not (await asyncio.wait([task], timeout=interval))[0]:
            await context.write(_HEARTBEAT)
    except BaseException:
        taken.cancel()
        task.cancel()
        raise
    response = pb.MonitoredCallResponse(response=pb.CallResponse.FromString(task.result()))
    await context.write(response.SerializeToString())
