"""What happens to a message in the server that it was sent to: select, admit, wait, run, tell.

All of it happens on one event loop. A message that waits costs no thread.
"""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import contextlib
import contextvars
import logging
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from oslorpc import errors, payload
from oslorpc.context import Incoming, RequestContext
from oslorpc.endpoint import Method, Table
from oslorpc.errors import Error, Kind, RemoteError, refused
from oslorpc.versions import Version

_log = logging.getLogger("oslorpc.server")
_WINDOW, _WINDOW_SIZE = 120.0, 1 << 14
_ROWS = 1024
_LATE = 0.05  # how long after a deadline a method is canceled: its caller tells the time itself
NEW, HELD, ACTIVE, DRAINING, STOPPING, STOPPED = "new", "held", "active", "draining", "stopping", "stopped"

Emit = Callable[[Any], Awaitable[None]]
_END = object()


class Window:
    """The ids of recent messages, so that one that comes twice is known."""

    def __init__(self) -> None:
        self._seen: collections.OrderedDict[str, float] = collections.OrderedDict()

    def add(self, id: str) -> bool:
        """Remember an id, and return whether it is new. A message without one is always new."""
        if not id:
            return True
        now = time.monotonic()
        while self._seen:
            oldest, at = next(iter(self._seen.items()))
            if now - at <= _WINDOW and len(self._seen) < _WINDOW_SIZE:
                break
            del self._seen[oldest]
        if id in self._seen:
            return False
        self._seen[id] = now
        return True

    def forget(self, id: str) -> None:
        """Let a message come again that did not start."""
        self._seen.pop(id, None)


class Queue:
    """Hands out workers in the order of arrival.

    Of messages with the same order key, one at a time runs.
    """

    def __init__(self, workers: int, waiting: int, size: int) -> None:
        self._workers, self._most, self._most_bytes = workers, waiting, size
        self.holds = False
        self.running = 0
        self.waiting = 0
        self.refused = 0
        self._bytes = 0
        self._ready: collections.deque[Ticket] = collections.deque()
        self._lanes: dict[str, collections.deque[Ticket]] = {}

    def admit(self, m: Incoming) -> Ticket:
        """Take a message in, or refuse it."""
        key = m.order_key
        blocked = key != "" and key in self._lanes
        at_once = not blocked and not self._ready and not self.holds and self.running < self._workers
        full = self.waiting >= self._most or (self.waiting > 0 and self._bytes + m.size > self._most_bytes)
        if not at_once and full:
            self.refused += 1
            raise refused(errors.FULL)
        ticket = Ticket(m.size, key)
        if key and not blocked:
            self._lanes[key] = collections.deque()
        if at_once:
            self.running += 1
            ticket.runs = True
            return ticket
        ticket.turn = asyncio.get_running_loop().create_future()
        self.waiting += 1
        self._bytes += m.size
        (self._lanes[key] if blocked else self._ready).append(ticket)
        ticket.behind = blocked
        return ticket

    def done(self, ticket: Ticket) -> None:
        """Give a ticket back, whether it waits or has a worker."""
        if ticket.runs:
            self.running -= 1
        else:
            self._leave(ticket)
            line = self._lanes[ticket.key] if ticket.behind else self._ready
            line.remove(ticket)
        if ticket.key and not ticket.behind:
            self._advance(ticket.key)
        self.hand_out()

    def _leave(self, ticket: Ticket) -> None:
        self.waiting -= 1
        self._bytes -= ticket.size

    def _advance(self, key: str) -> None:
        lane = self._lanes[key]
        if lane:
            following = lane.popleft()
            following.behind = False
            self._ready.append(following)
        else:
            del self._lanes[key]

    def hand_out(self) -> None:
        """Give free workers to the messages that wait longest."""
        while self._ready and not self.holds and self.running < self._workers:
            ticket = self._ready.popleft()
            self._leave(ticket)
            self.running += 1
            ticket.runs = True
            if ticket.turn is not None and not ticket.turn.done():
                ticket.turn.set_result(None)


class Ticket:
    """A message that was admitted."""

    __slots__ = ("behind", "key", "runs", "size", "turn")

    def __init__(self, size: int, key: str) -> None:
        self.size, self.key = size, key
        self.runs = self.behind = False
        self.turn: asyncio.Future[None] | None = None


class Dispatcher:
    """Runs the messages of one server."""

    def __init__(
        self, name: str, table: Table, describe: errors.Describe, workers: int, queue: int, queue_bytes: int
    ) -> None:
        self.name, self.table = name, table
        self.phase = NEW
        self.queue = Queue(workers, queue, queue_bytes)
        self.requests: dict[tuple[str, str, str, str], list[float]] = {}
        self.uncounted = 0
        self._describe = describe
        self._window = Window()
        self._threads = concurrent.futures.ThreadPoolExecutor(workers, thread_name_prefix=f"oslorpc-{name}")
        self._accepted: set[Incoming] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._casts: set[asyncio.Task[None]] = set()
        self.forced = False

    def accept(self, m: Incoming, namespace: str, version: Version) -> tuple[Method, Ticket]:
        """Select the method, and admit the message; or refuse it."""
        try:
            method = self.table.select(namespace, version, m.method)
        except Error:
            self._count(m, namespace, version, 1)
            raise
        if not self._window.add(m.id):
            raise Error(Kind.OUTCOME_UNKNOWN, "the message was received before")
        try:
            if self.phase in (STOPPING, STOPPED):
                raise refused(errors.STOPPING)
            ticket = self.queue.admit(m)
        except Error:
            self._window.forget(m.id)
            raise
        self._count(m, namespace, version, 0)
        self._accepted.add(m)
        self._idle.clear()
        return method, ticket

    def _count(self, m: Incoming, namespace: str, version: Version, column: int) -> None:
        key = (namespace[:255], m.method[:255], str(version), m.caller[:128] or "unknown")
        row = self.requests.get(key)
        now = time.time()
        if row is None:
            if len(self.requests) >= _ROWS:
                self.uncounted += 1
                return
            row = self.requests[key] = [0, 0, now, now]
        row[column] += 1
        row[3] = now

    async def run(self, m: Incoming, method: Method, ticket: Ticket, content: Callable[[], Any], emit: Emit) -> None:
        """Run a message that was accepted, when a worker is free. The content is decoded then."""
        started = False
        try:
            await self._turn(m, ticket)
            ctxt, kwargs = content()
            method.check(kwargs)
            if self.forced:
                raise refused(errors.STOPPING)
            started = True
            method.started += 1
            await self._invoke(m, method, RequestContext(ctxt, m), kwargs, emit)
        except Error as e:
            if e.safe_to_retry and not started:
                self._window.forget(m.id)
            raise
        except asyncio.CancelledError:
            m.cancel()
            if not started:
                self._window.forget(m.id)
            raise
        finally:
            self.queue.done(ticket)
            self._accepted.discard(m)
            if not self._accepted:
                self._idle.set()

    async def _turn(self, m: Incoming, ticket: Ticket) -> None:
        if ticket.turn is None:
            return
        left = None if m.deadline is None else m.deadline - time.monotonic()
        m.on_cancel = ticket.turn.cancel
        try:
            await asyncio.wait_for(ticket.turn, left)
        except TimeoutError:
            message = "the deadline passed before a worker was free; it was not started"
            raise Error(Kind.TIMEOUT, message, safe_to_retry=True) from None
        except asyncio.CancelledError:
            if self.forced:
                raise refused(errors.STOPPING) from None
            raise
        finally:
            m.on_cancel = None

    async def _invoke(
        self, m: Incoming, method: Method, ctxt: RequestContext, kwargs: dict[str, Any], emit: Emit
    ) -> None:
        loop = asyncio.get_running_loop()
        task: asyncio.Future[Any]
        if method.is_async:
            coroutine = (
                self._stream(method, ctxt, kwargs, emit)
                if method.streaming
                else self._await(method, ctxt, kwargs, emit)
            )
            task = asyncio.ensure_future(coroutine)
        else:
            work = _iterate if method.streaming else _call
            context = contextvars.copy_context()
            task = loop.run_in_executor(self._threads, context.run, work, method, ctxt, kwargs, emit, loop)
        m.on_cancel = lambda: loop.call_soon_threadsafe(task.cancel) if method.is_async else None
        try:
            late = (
                None if m.deadline is None else loop.call_later(max(m.deadline - time.monotonic(), 0) + _LATE, m.cancel)
            )
            try:
                result: Any = await (task if method.is_async else asyncio.shield(task))
            finally:
                if late is not None:
                    late.cancel()
            if not method.is_async and not method.streaming:
                await emit(result)
            if method.streaming and self.forced:
                raise _cut()
        except asyncio.CancelledError:
            m.cancel()
            if not method.is_async:
                await self._outlive(task)
            if self.forced:
                raise _cut() from None
            if m.deadline is not None and time.monotonic() >= m.deadline:
                raise Error(Kind.TIMEOUT, "the deadline passed while the method ran") from None
            raise
        except Error as e:
            if getattr(e, "_of_payload", False):
                raise
            raise self._failure(m, method, e) from e
        except Exception as e:
            raise self._failure(m, method, e) from e
        finally:
            m.on_cancel = None

    async def _outlive(self, task: asyncio.Future[Any]) -> None:
        """Wait for a method in a thread, whose worker is not free before it has ended."""
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError:
                continue
        if not task.cancelled():
            task.exception()

    async def _await(self, method: Method, ctxt: RequestContext, kwargs: dict[str, Any], emit: Emit) -> None:
        await emit(await method.run(ctxt, **kwargs))

    async def _stream(self, method: Method, ctxt: RequestContext, kwargs: dict[str, Any], emit: Emit) -> None:
        items: AsyncIterator[Any] = method.run(ctxt, **kwargs)
        async for item in items:
            await emit(item)

    def _failure(self, m: Incoming, method: Method, e: BaseException) -> Error:
        """Return the failure of a method as its caller sees it."""
        method.failed += 1
        expected = isinstance(e, method.expected) if method.expected else False
        level = logging.DEBUG if expected or m.canceled.is_set() else logging.ERROR
        _log.log(
            level,
            "method failed: server=%s method=%s error=%s: %s",
            self.name,
            m.method,
            type(e).__name__,
            str(e)[:4096],
        )
        name, data = self._describe(e)
        further = errors.find(e)
        if name:
            return RemoteError(name, str(e), (), (self.name,), data)
        if isinstance(further, RemoteError):
            return RemoteError(
                further.type, further.remote_message, further.stack, (*further.hops, self.name), further.data
            )
        if isinstance(further, Error):
            return RemoteError(f"oslorpc.{further.kind.value}", str(further), (), (self.name,))
        stack = () if expected else tuple(traceback.format_exception(e))
        return RemoteError(type_name(e), str(e), tuple(line.rstrip("\n") for line in stack), (self.name,))

    def cast(self, m: Incoming, method: Method, ticket: Ticket, content: Callable[[], Any]) -> None:
        """Run a message that was accepted, later."""

        async def work() -> None:
            try:
                await self.run(m, method, ticket, content, _drop)
            except Error as e:
                if e.kind is not Kind.REMOTE:  # what the method itself raised is logged already
                    _log.error("cast failed: server=%s method=%s error=%s", self.name, m.method, e)
            except asyncio.CancelledError:
                _log.warning("cast dropped by a forced stop: server=%s method=%s", self.name, m.method)

        task = asyncio.ensure_future(work())
        self._casts.add(task)
        task.add_done_callback(self._casts.discard)

    def set_phase(self, phase: str) -> None:
        """Change the phase. A server that is not held any more runs what waits."""
        self.phase = phase
        self.queue.holds = phase == HELD
        self.queue.hand_out()

    async def finish(self, timeout: float | None) -> bool:
        """Refuse messages from now on, and wait until the accepted ones have ended.

        False means: by force.
        """
        self.set_phase(STOPPING)
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
        self._threads.shutdown(wait=False, cancel_futures=True)
        return not self.forced


def _call(
    method: Method, ctxt: RequestContext, kwargs: dict[str, Any], emit: Emit, loop: asyncio.AbstractEventLoop
) -> Any:
    return method.run(ctxt, **kwargs)


def _iterate(
    method: Method, ctxt: RequestContext, kwargs: dict[str, Any], emit: Emit, loop: asyncio.AbstractEventLoop
) -> None:
    for item in method.run(ctxt, **kwargs):
        if ctxt.canceled:
            return
        asyncio.run_coroutine_threadsafe(_emit(emit, item), loop).result()


async def _emit(emit: Emit, item: Any) -> None:
    await emit(item)


async def _drop(item: Any) -> None:
    pass


def _cut() -> Error:
    message = "the server was stopped by force before the stream ended: what arrived is not all"
    return Error(Kind.OUTCOME_UNKNOWN, message)


def type_name(e: BaseException) -> str:
    """Name the type of an exception for other programs."""
    cls = type(e)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def writable(value: Any, as_value: bool, most: int) -> Any:
    """Return a result as a payload. An Error says why it cannot be sent."""
    try:
        written = payload.write(value, as_value)
        size = written.ByteSize()
        if size > most + 16:
            message = (
                f"the method ran, and its result has {size} bytes where this server sends {most}: return less at a time"
            )
            raise Error(Kind.TOO_LARGE, message)
    except Error as e:
        e._of_payload = True  # type: ignore[attr-defined]
        raise
    return written
