"""The asyncio client."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import grpc.aio

from oslorpc import delivery, errors, frame
from oslorpc.aio.items import Items
from oslorpc.aio.link import AioLink, failure
from oslorpc.around import Sending, unsent
from oslorpc.clientcore import (
    ASK_TIMEOUT,
    CALL_TIMEOUT,
    CAST_TIMEOUT,
    ClientCore,
    Operation,
    Sendable,
    TransportCore,
)
from oslorpc.connection import closed
from oslorpc.delivery import Connect, Send, Wait
from oslorpc.errors import Error, Kind
from oslorpc.fanout import Audience, Delivered, Reply, Report, audience
from oslorpc.fleet import Entry, Topic
from oslorpc.plain import reason

AT_ONCE = 64
_Sender = Callable[[Any, Entry], Awaitable[Any]]  # sends an Operation, or another Sendable, to an entry


class Client(ClientCore[TransportCore]):
    """Sends messages asynchronously.

    It belongs to the event loop on which its transport was opened.
    """

    async def call(self, ctxt: Mapping[str, Any] | None, method: str, /, **kwargs: Any) -> Any:
        """Call a method on one server, and return its result."""
        op = self._operation(method, ctxt, kwargs, CALL_TIMEOUT)
        self._check_one()
        return await self._deliver(op, self._send_monitored if op.plan.monitor else self._send_call)

    async def cast(self, ctxt: Mapping[str, Any] | None, method: str, /, **kwargs: Any) -> None:
        """Send a message that one server accepts now and runs later.

        If the target says fanout, send it to every server.
        """
        if self.target.fanout:
            await self.fanout(ctxt, method, **kwargs)
            return
        op = self._operation(method, ctxt, kwargs, CAST_TIMEOUT)
        op.delivery = "cast"
        await self._deliver(op, self._send_cast)

    async def multicall(self, ctxt: Mapping[str, Any] | None, method: str, /, **kwargs: Any) -> Items:
        """Call a method on one server, and return an iterator over its results, which arrive one by
        one.
        """
        op = self._operation(method, ctxt, kwargs, CALL_TIMEOUT)
        self._check_one()
        op.delivery = "multicall"
        failure: Exception = unsent()
        async with contextlib.AsyncExitStack() as stack:
            send = await self._within(op, self._send_multicall, stack)
            try:
                items: Items = await self._offer(op, send)
            except Exception as e:
                failure = e
                raise
            items.around = stack.pop_all()
            return items
        raise failure

    async def fanout(self, ctxt: Mapping[str, Any] | None, method: str, /, **kwargs: Any) -> Report:
        """Send a message to every server, and return a report of which accepted it."""
        op = self._everyone()._operation(method, ctxt, kwargs, CAST_TIMEOUT)
        op.delivery = "fanout"
        send: Any = None
        async with contextlib.AsyncExitStack() as stack:
            send = await self._within(op, self._send_cast, stack, copies=True)
            to = await self._audience(op)
            gate = asyncio.Semaphore(AT_ONCE)
            ends = await asyncio.gather(*(self._one(op, to, e, send, gate) for e in to.reached))
            return to.report(list(ends))
        if send is None:
            raise unsent()
        return Report(())

    async def gather(self, ctxt: Mapping[str, Any] | None, method: str, /, **kwargs: Any) -> AsyncIterator[Reply]:
        """Call a method on every server, and iterate over the replies as they arrive, one per
        server.
        """
        op = self._everyone()._operation(method, ctxt, kwargs, CALL_TIMEOUT)
        op.delivery = "gather"
        send: Any = None
        async with contextlib.AsyncExitStack() as stack:
            plain = self._send_monitored if op.plan.monitor else self._send_call
            send = await self._within(op, plain, stack, copies=True)
            to = await self._audience(op)
            gate = asyncio.Semaphore(AT_ONCE)
            tasks = [asyncio.ensure_future(self._one(op, to, e, send, gate)) for e in to.reached]
            try:
                for reply in to.others(self._transport.exceptions):
                    yield reply
                for task in asyncio.as_completed(tasks):
                    yield to.reply(await task, self._transport.exceptions)
            finally:
                for task in tasks:
                    task.cancel()
        if send is None:
            raise unsent()

    async def _within(
        self, op: Sendable, send: _Sender, stack: contextlib.AsyncExitStack, copies: bool = False
    ) -> _Sender:
        """Enter the interceptors around a message, and wrap ``send`` in those around attempts."""
        t, send = self._transport, op.plan.topic.missed.telling_async(send)
        if not t.points.client:
            return send
        sending = Sending(t.points, op, t.caller, t.exchange)
        await sending.enter_async(stack)
        return sending.asynchronous(send, copies)

    def channel(self, ctxt: Mapping[str, Any] | None = None) -> grpc.aio.Channel:
        """Return a channel for generated stubs of typed services, whose calls are awaited.

        Each message asks for the version that its method and its set fields need. Older servers get
        the message without the fields that may be dropped. The topic and the namespace are the
        service's, unless the target sets others. Methods see ctxt as the request context.
        """
        from oslorpc.aio.typed import TypedChannel

        return TypedChannel(self, ctxt)

    async def can_send_version(self, version: str | None = None) -> bool:
        """Whether the version cap allows messages of a version, by default the client's version.

        With the cap "auto", this depends on the servers of the fleet.
        """
        wanted = self._wanted(version)
        if not self._cap.auto:
            return self._cap.allows(wanted)
        topic = self._watched()
        deadline = time.monotonic() + (self.options.timeout or ASK_TIMEOUT)
        return self._allows(version, await known(topic, deadline, self.options.fail_fast))

    async def _audience(self, op: Sendable) -> Audience:
        try:
            return audience(op, await known(op.plan.topic, op.deadline, op.plan.fail_fast))
        except Error as e:
            raise delivery.about(e, op) from None

    async def _deliver(self, op: Sendable, send: _Sender) -> Any:
        """Send a message to one server, through the interceptors."""
        if not self._transport.points.client:
            return await self._offer(op, op.plan.topic.missed.telling_async(send))
        sending: Any = None
        async with contextlib.AsyncExitStack() as stack:
            sending = await self._within(op, send, stack)
            return await self._offer(op, sending)
        if sending is None:
            raise unsent()
        return None

    async def _offer(self, op: Sendable, send: _Sender) -> Any:
        """Send to the usual instance. If that fails, follow the rules of delivery."""
        first: tuple[Entry, Error] | None = None
        entry = delivery.usual(op)
        if entry is not None:
            try:
                return await send(op, entry)
            except Error as failed:
                first = entry, failed
        steps = delivery.deliver(op, first)
        try:
            step = _resume(steps.send, None)
            while True:
                step = await self._step(op, send, steps, step)
        except _Done as end:
            return end.args[0]
        except Error as e:
            error = errors.raised(e, self._transport.exceptions)
        raise error

    async def _step(self, op: Sendable, send: _Sender, steps: delivery.Delivery, step: delivery.Step) -> delivery.Step:
        answer: Any = None
        try:
            if isinstance(step, Send):
                answer = await send(op, step.entry)
            elif isinstance(step, Connect):
                answer = await link_of(step.entry).connect(step.seconds)
            elif isinstance(step, Wait):
                await _wait(op.plan.topic, step.seen, step.seconds)
        except Error as e:
            return _resume(steps.throw, e)
        return _resume(steps.send, answer)

    async def _one(self, op: Sendable, to: Audience, e: Entry, send: _Sender, gate: asyncio.Semaphore) -> Delivered:
        """Send one server its copy of a message. If the server is full, retry for a second."""
        async with gate:
            patience = to.patience()
            while True:
                try:
                    if e.link.hopeless or not (e.link.ready or await link_of(e).connect(min(1.0, op.remaining))):
                        raise e.link.unreachable(e.describe())
                    return Delivered(e, await send(op, e))
                except Error as error:
                    pause = patience.after(error)
                    if pause is None:
                        return to.failed(e, error)
                    await asyncio.sleep(pause)

    async def _send_call(self, op: Operation, e: Entry) -> Any:
        link = link_of(e)
        link.began()
        try:
            response = await link.call(op.to(e), timeout=op.remaining, metadata=link.headers())
        except Exception as error:
            raise failed(link, error) from None
        finally:
            link.ended()
        return self._result(frame.parse(response))

    async def _send_cast(self, op: Operation, e: Entry) -> None:
        link = link_of(e)
        link.began()
        try:
            await link.cast(op.to(e), timeout=op.remaining, metadata=link.headers())
        except Exception as error:
            raise failed(link, error) from None
        finally:
            link.ended()

    async def _send_monitored(self, op: Operation, e: Entry) -> Any:
        silence = op.plan.monitor or 0.0
        request = op.monitored(e, silence)
        with _Sending(e) as link:
            stream = link.monitored(request, timeout=op.remaining, metadata=link.headers())
            try:
                while True:
                    response: Any = await asyncio.wait_for(stream.read(), silence)
                    if response is grpc.aio.EOF:
                        raise Error(Kind.OUTCOME_UNKNOWN, "the server ended the call without a reply")
                    if response.HasField("response"):
                        return self._result(response.response.result)
            except TimeoutError:
                message = f"neither a heartbeat nor the reply came for {silence:g} s; the method may have run"
                raise Error(Kind.MONITOR_TIMEOUT, message) from None
            finally:
                stream.cancel()

    async def _send_multicall(self, op: Operation, e: Entry) -> Items:
        link = link_of(e)
        link.began()
        try:
            stream = link.multicall(op.to(e), metadata=link.headers())
        except BaseException:
            link.ended()
            raise
        items = Items(op, e, stream, self.options.timeout or CALL_TIMEOUT, self._transport.exceptions)
        await items.fetch(op.remaining)  # the first item shows that the server accepted the message
        return items


def _resume(proceed: Callable[[Any], delivery.Step], value: Any) -> delivery.Step:
    """Continue a generator, and return its next step.

    Raises _Done at its end, since a StopIteration must not leave a coroutine.
    """
    try:
        return proceed(value)
    except StopIteration as end:
        raise _Done(end.value) from None


class _Done(Exception):  # noqa: N818
    """A delivery has ended; the value is its result."""


async def known(topic: Topic, deadline: float, fail_fast: bool) -> tuple[Entry, ...]:
    """Wait until the entries of a topic are known, and return them.

    Raises an Unreachable at the deadline, or with ``fail_fast``, if discovery cannot be read.
    """
    while True:
        seen, entries = topic.snapshot()
        if entries is not None:
            return entries
        if time.monotonic() >= deadline or (fail_fast and topic.error):
            why = reason(topic.error) if topic.error else f"{topic.registry} did not answer"
            why = "not sent: " + why
            raise Error(Kind.UNREACHABLE, why, safe_to_retry=True)
        await _wait(topic, seen, deadline - time.monotonic())


async def _wait(topic: Topic, seen: int, seconds: float) -> None:
    """Wait up to ``seconds`` until the state of a topic is no longer the one ``seen``."""
    loop = asyncio.get_running_loop()
    changed = asyncio.Event()
    stop = topic.listen(seen, lambda: loop.call_soon_threadsafe(changed.set))
    try:
        await asyncio.wait_for(changed.wait(), max(seconds, 0))
    except TimeoutError:
        pass
    finally:
        stop()


def link_of(e: Entry) -> AioLink:
    return e.link  # type: ignore[return-value]  # the pool of an asyncio transport has only these


def failed(link: AioLink, error: Exception) -> Exception:
    """Convert the error of an RPC to an Error."""
    if isinstance(error, grpc.aio.AioRpcError):
        ours = failure(error)
        if ours.kind in (Kind.OUTCOME_UNKNOWN, Kind.UNREACHABLE) and error.code() is grpc.StatusCode.UNAVAILABLE:
            link.lost()
        return ours
    return closed() if isinstance(error, grpc.aio.UsageError) else error


class _Sending:
    """Counts a message on its link, and converts the error of its RPC to an Error."""

    def __init__(self, e: Entry) -> None:
        self._link = link_of(e)

    def __enter__(self) -> AioLink:
        self._link.began()
        return self._link

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self._link.ended()
        if isinstance(error, Exception) and (ours := failed(self._link, error)) is not error:
            raise ours from None
