"""Calls interceptors: clients call them around messages and attempts, servers around methods."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import itertools
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING, Any, TypeVar

from oslorpc import discreet
from oslorpc.errors import Error, Kind
from oslorpc.identity import Identity
from oslorpc.interceptor import Around, Interceptor, Message, Peer, refusal, replaced

if TYPE_CHECKING:
    from oslorpc.clientcore import Sendable
    from oslorpc.fleet import Entry

_log = logging.getLogger("oslorpc.server")
S = TypeVar("S", bound="Sendable")


class Points:
    """The interceptors of a transport, grouped by when they are called."""

    def __init__(self, interceptors: Iterable[Interceptor], threaded: bool) -> None:
        given = list(interceptors)
        self.send = [i.send for i in given if i.send is not None]
        self.attempt = [i.attempt for i in given if i.attempt is not None]
        self.accept = [i.accept for i in given if i.accept is not None]
        self.run = [i.run for i in given if i.run is not None]
        self.client = bool(self.send or self.attempt)
        self.discreet = False  # errors tell senders only what the program wrote for them
        self.threaded = threaded  # interceptors of threaded methods are called in the method's thread


def enter(stack: ExitStack, around: Sequence[Around], m: Message) -> None:
    """Enter context managers.

    An exception of one of them refuses the message, and the outer ones see it.
    """
    for function in around:
        try:
            manager = function(m)
            if not isinstance(manager, contextlib.AbstractContextManager):
                raise TypeError("an interceptor of a blocking transport must return a plain context manager")
            stack.enter_context(manager)
        except Exception as e:
            raise refusal(e) from e


async def enter_async(stack: AsyncExitStack, around: Sequence[Around], m: Message) -> None:
    """Enter plain or asynchronous context managers."""
    for function in around:
        try:
            manager = function(m)
            if isinstance(manager, contextlib.AbstractAsyncContextManager):
                await stack.enter_async_context(manager)
            else:
                stack.enter_context(manager)
        except Exception as e:
            raise refusal(e) from e


class Sending:
    """A client's message with its interceptors."""

    def __init__(self, points: Points, op: Sendable, caller: str, exchange: str) -> None:
        self.points, self._op = points, op
        plan = op.plan
        target = plan.target.replace(exchange=plan.target.exchange or exchange, version=op.asked, fanout=False)
        self.message = Message(
            target, plan.method, op.delivery, plan.monitor is not None, op.id, plan.order_key, caller=caller,
            metadata=dict(plan.metadata), service=op.service,
        )  # fmt: skip

    def enter(self, stack: ExitStack) -> None:
        """Enter the interceptors around the message."""
        try:
            enter(stack, self.points.send, self.message)
        except Error as e:
            raise self._about(e) from e.__cause__

    async def enter_async(self, stack: AsyncExitStack) -> None:
        """Enter the interceptors around the message."""
        try:
            await enter_async(stack, self.points.send, self.message)
        except Error as e:
            raise self._about(e) from e.__cause__

    def _about(self, e: Error) -> Error:
        e.target, e.method = self._op.plan.target, self._op.plan.method
        return e

    def _tries(self, copies: bool) -> Callable[[Sendable, Entry], Message]:
        """Return the description of the next attempt.

        Attempts are counted from 1, separately for each copy of the message.
        """
        counts: dict[Entry | None, Iterator[int]] = {}

        def message(op: Sendable, e: Entry) -> Message:
            count = counts.setdefault(e if copies else None, itertools.count(1))
            i = e.instance
            target = self.message.target
            if op.asked != target.version:
                target = target.replace(version=op.asked)
            proved = Identity("tls", (e.link.name,)) if e.link.name else Identity()
            return dataclasses.replace(
                self.message, target=target, server=i.server, instance_id=i.id, addr=i.addr, attempt=next(count),
                peer=Peer(i.addr, proved), metadata=dict(self.message.metadata),
            )  # fmt: skip

        return message

    def blocking(self, send: Callable[[S, Entry], Any], copies: bool) -> Callable[[S, Entry], Any]:
        """Wrap ``send``: the interceptors surround each attempt."""
        message = self._tries(copies)

        def attempt(op: S, e: Entry) -> Any:
            sent, failure = False, None
            m = message(op, e)
            try:
                with ExitStack() as stack:
                    enter(stack, self.points.attempt, m)
                    sent = True
                    try:
                        return send(op.carrying(m.metadata), e)
                    except BaseException as error:
                        failure = error
                        raise
            except Exception as error:
                if sent and error is not failure:
                    raise replaced(error, failure) from error
                raise
            return _swallowed(op, sent, failure)

        return attempt

    def asynchronous(
        self, send: Callable[[S, Entry], Awaitable[Any]], copies: bool
    ) -> Callable[[S, Entry], Awaitable[Any]]:
        """Wrap ``send``: the interceptors surround each attempt."""
        message = self._tries(copies)

        async def attempt(op: S, e: Entry) -> Any:
            sent, failure = False, None
            m = message(op, e)
            try:
                async with AsyncExitStack() as stack:
                    await enter_async(stack, self.points.attempt, m)
                    sent = True
                    try:
                        return await send(op.carrying(m.metadata), e)
                    except BaseException as error:
                        failure = error
                        raise
            except Exception as error:
                if sent and error is not failure:
                    raise replaced(error, failure) from error
                raise
            return _swallowed(op, sent, failure)

        return attempt


def _swallowed(op: Sendable, sent: bool, failure: BaseException | None) -> None:
    """Return None for an error that an interceptor suppressed.

    Raises an Error if nothing was sent, and the original error for a multicall, whose result must
    be an iterator.
    """
    if not sent:
        raise unsent()
    if op.delivery == "multicall" and failure is not None:
        raise failure


def unsent() -> Error:
    """Return the error for an unsent message whose error an interceptor suppressed."""
    return Error(Kind.INVALID, "an interceptor ended the message before it was sent", safe_to_retry=True)


async def admit(points: Points, m: Message) -> None:
    """Let the interceptors of a server accept or refuse a message."""
    for function in points.accept:
        try:
            answer = function(m)
            if inspect.isawaitable(answer):
                await answer
        except Exception as e:
            if points.discreet:
                raise discreet.refusal(refusal(e), e, m.method) from e
            if not isinstance(e, (Error, PermissionError)):
                _log.warning("an interceptor refused a message: method=%s error=%r", m.method[:255], e)
            raise refusal(e) from e


class Running:
    """A method with the interceptors of its server around it."""

    __slots__ = ("_message", "_points", "_raised", "ran")

    def __init__(self, points: Points, m: Message) -> None:
        self._points, self._message = points, m
        self.ran = False
        self._raised: BaseException | None = None  # what the method raised

    @property
    def threaded(self) -> bool:
        """Whether interceptors are called in the method's thread, if it has one."""
        return self._points.threaded

    def in_thread(self, work: Callable[[], Any]) -> Any:
        """Run a method in its thread."""
        with ExitStack() as stack:
            enter(stack, self._points.run, self._message)
            self.ran = True
            try:
                return work()
            except BaseException as e:
                self._raised = e
                raise
        return self._hidden()

    async def on_loop(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Run a method on the event loop, or wait on the loop for the method's thread."""
        async with AsyncExitStack() as stack:
            await enter_async(stack, self._points.run, self._message)
            self.ran = True
            try:
                return await work()
            except BaseException as e:
                self._raised = e
                raise
        return self._hidden()

    def _hidden(self) -> None:
        if not self.ran:
            raise Error(Kind.ACCESS_DENIED, "an interceptor ended the message before the method ran")

    def verdict(self, e: Exception) -> Error | None:
        """Return the sender's error for an exception of an interceptor, or None for an exception of
        the method.
        """
        if not self.ran and self._points.discreet:
            return discreet.refusal(refusal(e), e.__cause__ or e, self._message.method)
        if not self.ran:
            return refusal(e)
        if e is not self._raised and isinstance(e, Error) and e.kind is Kind.ACCESS_DENIED:
            return Error(Kind.ACCESS_DENIED, e.message)
        return None
