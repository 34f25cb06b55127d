"""How a server handles a message: select the method, admit, wait, run, answer.

All this happens on one event loop. A waiting message needs no thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from oslorpc import discreet, errors, frame, payload
from oslorpc.admission import Queue, Window
from oslorpc.context import Incoming, RequestContext
from oslorpc.endpoint import Method, Table
from oslorpc.errors import Error, Kind, RemoteError, refused
from oslorpc.versions import Version
from oslorpc.workers import Workers

_log = logging.getLogger("oslorpc.server")
_ROWS = 1024
_LATE = 0.05  # seconds after a deadline until the method is canceled: the caller's own timer should fire first
NEW, HELD, ACTIVE, DRAINING, STOPPING, STOPPED = "new", "held", "active", "draining", "stopping", "stopped"

Emit = Callable[[Any], Awaitable[None]]


class Dispatcher:
    """Runs the messages of one server."""

    def __init__(
        self, name: str, table: Table, describe: errors.Describe, workers: int, queue: int, queue_bytes: int
    ) -> None:
        self.name, self.table = name, table
        self.phase = NEW
        self.queue = Queue(workers, queue, queue_bytes)
        self.requests: dict[tuple[str, str, str, str, str], list[float]] = {}
        self.uncounted = 0
        self._describe = describe
        self._window = Window()
        self._workers = Workers(f"oslorpc-{name}", workers)
        self._accepted: set[Incoming] = set()
        self._idle = asyncio.Event()
        self._casts: set[asyncio.Task[None]] = set()
        self.forced = False

    def select(self, namespace: str, version: Version, name: str, caller: str, proved: str) -> Method:
        """Return the method that a message asks for. A refusal is counted."""
        try:
            return self.table.select(namespace, version, name)
        except Error:
            self._count(self.row(namespace, name, str(version), caller, proved), 1)
            raise

    def select_typed(self, service: str, version: Version, name: str, row: list[float] | None) -> Method:
        """Return the typed method that a message asks for. A refusal is counted."""
        try:
            return self.table.select_typed(service, version, name)
        except Error:
            self._count(row, 1)
            raise

    def accept(self, m: Incoming, row: list[float] | None, now: float) -> None:
        """Admit a message whose method is known, or refuse it."""
        self.settle()
        if not self._window.add(m.id, now):
            raise Error(Kind.OUTCOME_UNKNOWN, "the message was received before")
        try:
            if self.phase is STOPPING or self.phase is STOPPED:
                raise refused(errors.STOPPING)
            m.ticket = self.queue.admit(m)
        except Error:
            self._window.forget(m.id)
            raise
        self._count(row, 0)
        self._accepted.add(m)

    def settle(self) -> None:
        """Take back the workers of messages whose threads have sent the results."""
        self._workers.settle()

    def _leave(self, m: Incoming) -> None:
        """Take back the worker of a message, or its place in the queue, unless that was done."""
        if m in self._accepted:
            self._accepted.remove(m)
            self.queue.done(m.ticket)
            if self.phase is STOPPING and not self._accepted:
                self._idle.set()

    def _count(self, row: list[float] | None, column: int) -> None:
        if row is None:
            self.uncounted += 1
        else:
            row[column] += 1
            row[3] = time.time()

    def row(self, namespace: str, method: str, version: str, caller: str, proved: str) -> list[float] | None:
        """Return the row that counts messages of a kind, or None if there are too many rows.

        A row has the number of accepted and of refused messages, and the times of the first and the
        last. ``proved`` is the first name that the caller proved.
        """
        key = (namespace[:255], method[:255], version, caller[:128] or "unknown", proved[:255])
        row = self.requests.get(key)
        if row is None and len(self.requests) < _ROWS:
            now = time.time()
            row = self.requests[key] = [0, 0, now, now]
        return row

    async def run(self, m: Incoming, method: Method, emit: Emit) -> Any:
        """Run an accepted message when a worker is free, and return the result.

        The content is decoded when the message runs. ``emit`` gets the items of a streaming method.
        """
        started = False
        late: asyncio.TimerHandle | None = None
        try:
            if m.ticket.turn is not None:
                await self._turn(m, m.ticket.turn)
            content, kwargs = m.content()
            method.check(kwargs)
            if self.forced:
                raise refused(errors.STOPPING)
            started = True
            method.started += 1
            ctxt = RequestContext(content, m)
            if m.bounded and m.deadline is not None:  # gRPC itself cancels at the deadlines of RPCs
                left = max(m.deadline - time.monotonic(), 0) + _LATE
                late = asyncio.get_running_loop().call_later(left, m.cancel)
            if method.is_async:
                m.on_cancel = asyncio.current_task().cancel  # type: ignore[union-attr]
            result = await self._run(m, method, ctxt, kwargs, emit)
            if self.forced and method.streaming:
                raise _cut()
            return result
        except asyncio.CancelledError:
            m.on_cancel = None
            m.cancel()
            if not started:
                self._window.forget(m.id)
                raise
            if self.forced:
                raise _cut() from None
            if m.deadline is not None and time.monotonic() >= m.deadline:
                raise Error(Kind.TIMEOUT, "the deadline passed while the method ran") from None
            raise
        except Exception as e:
            if started and (verdict := self._intercepted(m, method, e)) is not None:
                raise verdict from e
            if started and not getattr(e, "_of_payload", False):
                raise self._failure(m, method, e) from e
            if not started and isinstance(e, Error) and e.safe_to_retry:
                self._window.forget(m.id)
            raise
        finally:
            m.on_cancel = None
            if late is not None:
                late.cancel()
            self._leave(m)

    async def _turn(self, m: Incoming, turn: asyncio.Future[None]) -> None:
        left = None if m.deadline is None else m.deadline - time.monotonic()
        m.on_cancel = turn.cancel
        try:
            await asyncio.wait_for(turn, left)
        except TimeoutError:
            message = "the deadline passed before a worker was free; it was not started"
            raise Error(Kind.TIMEOUT, message, safe_to_retry=True) from None
        except asyncio.CancelledError:
            if self.forced:
                raise refused(errors.STOPPING) from None
            raise
        finally:
            m.on_cancel = None

    def _intercepted(self, m: Incoming, method: Method, e: Exception) -> Error | None:
        """Return the sender's error if an exception is from an interceptor, and None if it is from
        the method.
        """
        if m.around is None:
            return None
        if not m.around.ran:
            method.started -= 1
            self._window.forget(m.id)
        return m.around.verdict(e)

    def _run(
        self, m: Incoming, method: Method, ctxt: RequestContext, kwargs: dict[str, Any], emit: Emit
    ) -> Awaitable[Any]:
        """Run the method with the interceptors around it."""
        work = functools.partial(self._work, m, method, ctxt, kwargs, emit)
        if m.around is None or (m.around.threaded and not method.is_async):
            return work()
        return m.around.on_loop(work)

    def _work(
        self, m: Incoming, method: Method, ctxt: RequestContext, kwargs: dict[str, Any], emit: Emit
    ) -> Awaitable[Any]:
        """Run the method itself, on the event loop or in a thread."""
        if not method.is_async:
            return self._in_thread(m, method, ctxt, kwargs, emit)
        if method.streaming:
            return _stream(method, ctxt, kwargs, emit)
        result: Awaitable[Any] = method.run(ctxt, **kwargs)
        return result

    async def _in_thread(
        self, m: Incoming, method: Method, ctxt: RequestContext, kwargs: dict[str, Any], emit: Emit
    ) -> Any:
        work: Callable[[], Any]
        if method.streaming:
            loop = asyncio.get_running_loop()
            work = functools.partial(_iterate, method, ctxt, kwargs, emit, loop)
        else:
            work = functools.partial(method.run, ctxt, **kwargs)
        if m.around is not None and m.around.threaded:
            work = functools.partial(m.around.in_thread, work)
        sends = m.promise is not None and m.around is None and not method.streaming
        if sends:  # saves the way over the event loop
            work = functools.partial(m.answer, work)
        job = self._workers.start(work, functools.partial(self._leave, m), sends)
        try:
            return await job.future
        except asyncio.CancelledError:
            # The worker stays in use until the method has ended.
            m.cancel()
            await self._workers.outlive(job)
            raise

    def _failure(self, m: Incoming, method: Method, e: BaseException) -> Error:
        """Return the error that a method's caller gets for an exception."""
        method.failed += 1
        expected = isinstance(e, method.expected) if method.expected else False
        name, data = self._describe(e)
        further = errors.find(e)
        if self.table.discreet and not name and (further is not None or not expected):
            return self._conceal(m, e)
        self._report(m, e, logging.DEBUG if expected or m.canceled else logging.ERROR)
        if name:
            return RemoteError(name, str(e), (), (self.name,), data)
        if isinstance(further, RemoteError):
            return RemoteError(
                further.type, further.remote_message, further.stack, (*further.hops, self.name), further.data
            )
        if isinstance(further, Error):
            return RemoteError(f"oslorpc.{further.kind.value}", str(further), (), (self.name,))
        if self.table.discreet:
            return RemoteError("error", str(e), (), (self.name,))
        stack = () if expected else tuple(traceback.format_exception(e))
        return RemoteError(type_name(e), str(e), tuple(line.rstrip("\n") for line in stack), (self.name,))

    def _report(self, m: Incoming, e: BaseException, level: int, id: str = "") -> None:
        words = f"{type(e).__name__}: {str(e)[:4096]}" + (f" failure={id}" if id else "")
        _log.log(level, "method failed: server=%s method=%s error=%s", self.name, m.method, words)

    def _conceal(self, m: Incoming, e: BaseException) -> Error:
        """Return the sender's error for a failure that the program did not write for callers.

        The log has the details.
        """
        id = discreet.new_id()
        self._report(m, e, logging.ERROR, id)
        return RemoteError("error", discreet.hidden("the method failed", id), (), (self.name,))

    def cast(self, m: Incoming, method: Method) -> None:
        """Run an accepted message later."""

        async def work() -> None:
            try:
                await self.run(m, method, drop)
            except Error as e:
                if e.kind is not Kind.REMOTE:  # exceptions of methods are logged already
                    _log.error("cast failed: server=%s method=%s error=%s", self.name, m.method, e)
            except asyncio.CancelledError:
                _log.warning("cast dropped by a forced stop: server=%s method=%s", self.name, m.method)

        task = asyncio.ensure_future(work())
        self._casts.add(task)
        task.add_done_callback(self._casts.discard)

    def set_phase(self, phase: str) -> None:
        """Change the phase. When a hold ends, queued messages run."""
        self.phase = phase
        self.queue.holds = phase == HELD
        self.queue.hand_out()

    async def finish(self, timeout: float | None) -> bool:
        """Refuse messages from now on, and wait until the accepted ones have ended.

        Returns False if some had to be canceled.
        """
        self.set_phase(STOPPING)
        if not self._accepted:
            self._idle.set()
        try:
            await asyncio.wait_for(self._idle.wait(), timeout)
        except TimeoutError:
            self.forced = True
            _log.warning(
                "server %s stopped by force: %d messages were running, %d waiting",
                self.name,
                self.queue.running,
                self.queue.waiting,
            )
            for m in list(self._accepted):
                m.cancel()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), 2)
        await self._workers.sent()
        self._workers.shutdown()
        return not self.forced


async def _stream(method: Method, ctxt: RequestContext, kwargs: dict[str, Any], emit: Emit) -> None:
    items: AsyncIterator[Any] = method.run(ctxt, **kwargs)
    async for item in items:
        await emit(item)


def _iterate(
    method: Method, ctxt: RequestContext, kwargs: dict[str, Any], emit: Emit, loop: asyncio.AbstractEventLoop
) -> None:
    for item in method.run(ctxt, **kwargs):
        if ctxt.canceled:
            return
        asyncio.run_coroutine_threadsafe(_emit(emit, item), loop).result()


async def _emit(emit: Emit, item: Any) -> None:
    await emit(item)


async def drop(item: Any) -> None:
    """Emit nothing."""


def _cut() -> Error:
    message = "the server was stopped by force before the stream ended: the results that arrived are incomplete"
    return Error(Kind.OUTCOME_UNKNOWN, message)


def type_name(e: BaseException) -> str:
    """Return the name of an exception's type for other programs."""
    cls = type(e)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def written(value: Any, as_value: bool, most: int) -> bytes:
    """Return a response with a result. Raise an Error if the result cannot be sent."""
    try:
        text = payload.encode(value, Kind.BAD_RESULT)
        if len(text) > most:
            message = (
                f"the method ran, and its result has {len(text)} bytes, and this server sends at most {most}: "
                "return less at a time"
            )
            raise Error(Kind.TOO_LARGE, message)
        if as_value:
            return frame.payload(payload.as_value(text.decode()))
    except Error as e:
        e._of_payload = True  # type: ignore[attr-defined]
        raise
    return frame.result(text)
