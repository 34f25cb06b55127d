"""Messages that did not reach their server: clients remember them, and report them to the
servers.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from oslorpc import errors
from oslorpc.errors import Error, Kind

if TYPE_CHECKING:
    from oslorpc.clientcore import Sendable
    from oslorpc.discovery.base import Instance
    from oslorpc.fleet import Entry

_log = logging.getLogger("oslorpc.server")
S = TypeVar("S", bound="Sendable")
_MOST, _TIME = 4096, 3600.0
_EVERY = 10.0  # seconds between two reports to a server's program, which may have to read all its data again
_Key = tuple[str, ...]
_UNSENDABLE = (Kind.BAD_ARGUMENTS, Kind.TOO_LARGE, Kind.INVALID)


def _instance(i: Instance) -> _Key:
    return (i.exchange, i.topic, i.id) if i.id else (i.exchange, i.topic, i.server, i.addr)


def _server(exchange: str, topic: str, name: str) -> _Key:
    return "name", exchange, topic, name, ""


class Missed:
    """Remembers for a transport which servers missed a message, until the report arrives.

    May be used from any thread.
    """

    def __init__(self) -> None:
        self._records: dict[_Key, float] = {}  # when the last message for each failed, the oldest first
        self._lock = threading.Lock()

    def instance(self, e: Entry) -> None:
        """Note that an instance missed a message."""
        self._add(_instance(e.instance))

    def server(self, exchange: str, topic: str, name: str) -> None:
        """Note that the server with a name missed a message."""
        self._add(_server(exchange, topic, name))

    def _add(self, key: _Key) -> None:
        with self._lock:
            self._records.pop(key, None)
            now = time.monotonic()
            while self._records:
                oldest = next(iter(self._records))
                if len(self._records) < _MOST and now - self._records[oldest] <= _TIME:
                    break
                del self._records[oldest]
            self._records[key] = now

    def _told(self, e: Entry) -> dict[_Key, float]:
        """Return the report for an instance."""
        i = e.instance
        since = time.monotonic() - _TIME
        with self._lock:
            found = ((k, self._records.get(k, -1.0)) for k in (_instance(i), _server(i.exchange, i.topic, i.server)))
            return {key: at for key, at in found if at >= max(since, 0.0)}

    def _settle(self, told: dict[_Key, float], error: Error | None) -> None:
        """Forget a report, if the server received it. Later failures are kept."""
        if error is not None and not _heard(error):
            return
        with self._lock:
            for key, at in told.items():
                if self._records.get(key) == at:
                    del self._records[key]

    def telling(self, send: Callable[[S, Entry], Any]) -> Callable[[S, Entry], Any]:
        """Wrap ``send``: the message carries the report for its server, if there is one."""
        if not self._records:
            return send

        def tell(op: S, e: Entry) -> Any:
            told = self._told(e)
            if not told:
                return send(op, e)
            try:
                result = send(op.reporting(_ago(told)), e)
            except Error as error:
                self._settle(told, error)
                raise
            self._settle(told, None)
            return result

        return tell

    def telling_async(self, send: Callable[[S, Entry], Awaitable[Any]]) -> Callable[[S, Entry], Awaitable[Any]]:
        """Wrap ``send``: the message carries the report for its server, if there is one."""
        if not self._records:
            return send

        async def tell(op: S, e: Entry) -> Any:
            told = self._told(e)
            if not told:
                return await send(op, e)
            try:
                result = await send(op.reporting(_ago(told)), e)
            except Error as error:
                self._settle(told, error)
                raise
            self._settle(told, None)
            return result

        return tell


def _ago(told: dict[_Key, float]) -> float:
    return max(time.monotonic() - max(told.values()), 1e-9)


def _heard(e: Error) -> bool:
    """Whether the server received the report, given the error of the attempt."""
    denied = e.kind is Kind.ACCESS_DENIED and e.safe_to_retry
    return bool(e.server) and not denied and e.reason != errors.DECLINED


def is_missed(e: Error, cast: bool) -> bool:
    """Whether the intended server may not have received the message."""
    if e.not_delivered:
        return True
    if e.kind in (Kind.OUTCOME_UNKNOWN, Kind.MONITOR_TIMEOUT):
        return not e.answered
    return e.kind is Kind.TIMEOUT and not e.answered and (e.safe_to_retry or cast)


def is_unsendable(e: Error) -> bool:
    """Whether no server could have received a copy, or the server denied the message to its
    sender.
    """
    denied = e.kind is Kind.ACCESS_DENIED
    return e.safe_to_retry and (denied or (e.kind in _UNSENDABLE and not e.answered))


class Reports:
    """Passes reports of missed messages to a server's program. It runs on the event loop."""

    def __init__(self, missed: Callable[[str], Any]) -> None:
        self._missed = missed
        self._began = time.monotonic()
        self._reason = ""
        self._task: asyncio.Task[None] | None = None

    def tell(self, ago: float) -> None:
        """Handle a report of a message that failed ``ago`` seconds ago. A server that started later
        ignores it.
        """
        if time.monotonic() - self._began <= ago:
            return
        self._reason = self._reason or f"a sender could not deliver a message {ago:.3f} s ago"
        if self._task is None or self._task.done():
            loop = asyncio.get_running_loop()
            self._task = loop.create_task(self._serve(), context=contextvars.Context())

    async def _serve(self) -> None:
        while self._reason:
            reason, self._reason = self._reason, ""
            again = time.monotonic() + _EVERY
            try:
                if inspect.iscoroutinefunction(self._missed):
                    await self._missed(reason)
                else:
                    await asyncio.to_thread(self._missed, reason)
            except Exception:
                _log.exception("the function for missed messages failed")
            await asyncio.sleep(max(again - time.monotonic(), 0))

    def end(self) -> None:
        """Stop passing on reports."""
        if self._task is not None:
            self._task.cancel()
