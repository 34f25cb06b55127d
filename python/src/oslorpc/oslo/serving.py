"""The service's servers in the helper process: it accepts their messages, and passes them on to the
service.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from typing import Any

from oslorpc import payload
from oslorpc.aio.transport import Transport
from oslorpc.context import RequestContext
from oslorpc.dispatcher import STOPPING, Dispatcher
from oslorpc.endpoint import Argument, Endpoint, Method, Table
from oslorpc.errors import Error, Kind, RemoteError
from oslorpc.host import Run, ServerOptions
from oslorpc.oslo import frames
from oslorpc.target import Target
from oslorpc.v1 import rpc_pb2 as pb
from oslorpc.versions import Version

_log = logging.getLogger("oslorpc.oslo")
_UNDELIVERABLE = (Kind.NO_SUCH_METHOD, Kind.UNSUPPORTED_VERSION)
Post = Callable[..., None]


def _read(m: pb.Message) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the texts of a message without parsing them, and the fields by which oslo.messaging's
    dispatcher selects the method.
    """
    to = m.target
    about = {
        "method": m.method,
        "namespace": to.namespace if to.HasField("namespace") else None,
        "version": to.version if to.HasField("version") else None,
    }
    return {}, {"about": about, "kwargs": _text(m.kwargs), "context": _text(m.context)}


def _text(p: Any) -> str:
    which = p.WhichOneof("encoding")
    if which == "json":
        text: str = p.json
        return text
    return payload.dumps(payload.read(p, Kind.BAD_ARGUMENTS, {}), Kind.BAD_ARGUMENTS)


class _Forward(Method):
    """A method of the service, which checks its arguments itself."""

    def check(self, kwargs: Any) -> None:
        pass


class _Any(dict[str, Method]):
    """The methods of an endpoint that does not list them."""

    def __init__(self, make: Callable[[str], Method], known: dict[str, Method]) -> None:
        super().__init__(known)
        self._make = make

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str)

    def __missing__(self, name: str) -> Method:
        return self._make(name)


class _Table(Table):
    """Selects methods by the rules of oslo.messaging's dispatcher, and logs the same refusals."""

    def select(self, namespace: str, version: Version, name: str) -> Method:
        try:
            return super().select(namespace, version, name)
        except Error as e:
            if e.kind in _UNDELIVERABLE:
                quiet = e.kind is Kind.NO_SUCH_METHOD and name.endswith("_ignore_errors")
                _log.log(logging.INFO if quiet else logging.ERROR, "message refused: %s", e)
            raise


class _Run(Run):
    """A server whose methods run in the service's process."""

    @property
    def dispatcher(self) -> Dispatcher | None:
        """The dispatcher that accepts its messages, while it runs."""
        return self._served.dispatcher if self._served is not None else None


class Listener:
    """A server of the service, in the view of other processes."""

    def __init__(self, transport: Transport, number: int, server: dict[str, Any], post: Post) -> None:
        self._number, self._post, self._host = number, post, transport._host
        self._messages = 0
        self._pending: dict[int, asyncio.Future[payload.Raw]] = {}
        self._ending: asyncio.Task[bool] | None = None
        endpoints = [self._endpoint(e) for e in server["endpoints"]]
        target = Target(server["topic"], server["exchange"], server=server["server"])
        self._run = _Run(self._host, target, [], ServerOptions(workers=server["workers"]))
        self._run._table = _Table(endpoints, False, self._run._table.discreet)
        self._host.runs.add(self._run)

    def _endpoint(self, described: dict[str, Any]) -> Endpoint:
        methods: dict[str, Method] = {}
        for name, arguments, extra in described["methods"]:
            methods[name] = self._method(name, [Argument(a, "any", optional, None) for a, optional in arguments], extra)
        if described["open"]:
            methods = _Any(lambda name: self._method(name, [], True), methods)
        return Endpoint(tuple(described["namespaces"]), Version.parse(described["version"]), methods)

    def _method(self, name: str, arguments: list[Argument], extra: bool) -> Method:
        return _Forward(name, self._forward, arguments, extra, "any", False, True, (Exception,), _read)

    async def _forward(self, ctxt: RequestContext, about: dict[str, Any], kwargs: str, context: str) -> Any:
        """Let the service run a message, and return its result."""
        self._messages += 1
        number = self._messages
        future: asyncio.Future[payload.Raw] = asyncio.get_running_loop().create_future()
        self._pending[number] = future
        frame = {"op": "message", "listener": self._number, "number": number, "id": ctxt.message_id, **about}
        try:
            self._post(frame, kwargs, context)
            return await future
        finally:
            del self._pending[number]

    def reply(self, header: frames.Header, texts: list[str]) -> None:
        """Handle the service's reply to a message."""
        future = self._pending.get(header["number"])
        if future is None or future.done():  # the caller no longer waits
            return
        if "remote" in header:
            type_name, message, stack, hops, data = header["remote"]
            future.set_exception(RemoteError(type_name, message, tuple(stack), tuple(hops), data))
        elif "error" in header:
            future.set_exception(_as_it_is(Error(Kind(header["error"]), header["message"])))
        else:
            future.set_result(payload.Raw(texts[0]))

    async def start(self) -> None:
        """Publish the server, and return when other processes can find it."""
        await self._run.start()

    async def stop(self) -> None:
        """Accept no more messages, and pass all accepted ones to the service."""
        if self._run.dispatcher is None:
            return
        dispatcher = self._run.dispatcher
        if self._ending is None:
            self._ending = asyncio.ensure_future(self._run.stop(None))
        while dispatcher.phase != STOPPING and not self._ending.done():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        dispatcher.queue._workers = sys.maxsize  # the service has a queue of its own
        dispatcher.queue.hand_out()
        while dispatcher.queue.waiting or len(self._pending) < dispatcher.queue.running:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async def finish(self) -> None:
        """Return when all accepted messages have been answered."""
        await self.stop()
        if self._ending is not None:
            await self._ending
        self._host.runs.discard(self._run)

    def abandon(self) -> None:
        """Fail all messages that the service has not answered, because it is gone."""
        for future in self._pending.values():
            if not future.done():
                message = "the process of the server ended: the method may have run"
                future.set_exception(_as_it_is(Error(Kind.OUTCOME_UNKNOWN, message)))


def _as_it_is(e: Error) -> Error:
    """Mark an error that callers must get unchanged, and not as the failure of a method."""
    e._of_payload = True  # type: ignore[attr-defined]
    return e
