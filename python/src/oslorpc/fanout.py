"""Messages for every server: to which servers they go, and the report about each."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from typing import Any

from oslorpc import delivery, errors
from oslorpc.delivery import Message
from oslorpc.discovery.base import Instance
from oslorpc.errors import Error, ExceptionTypes, Kind
from oslorpc.fleet import Entry, Topic
from oslorpc.missed import is_missed, is_unsendable
from oslorpc.plain import reason

_FULL = 1.0  # seconds for which a copy is sent again to a full server


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a fanout at one server.

    ``skipped`` is True if the server drains, or cannot serve the message; the error says which.
    """

    instance: Instance
    error: Error | None = None
    skipped: bool = False
    unlisted: bool = False

    @property
    def server(self) -> str:
        """The server's name."""
        return self.instance.server


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """The outcome of a fanout.

    If discovery cannot be read, ``uncertain`` is the error, and there may be servers that the
    report lacks.
    """

    outcomes: tuple[Outcome, ...]
    uncertain: Exception | None = None

    @property
    def accepted(self) -> tuple[Outcome, ...]:
        """The servers that accepted the message."""
        return tuple(o for o in self.outcomes if o.error is None)

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """The servers that should have received the message, but did not or may not have."""
        return tuple(o for o in self.outcomes if o.error is not None and not o.skipped)

    @property
    def skipped(self) -> tuple[Outcome, ...]:
        """The servers that the message was not sent to."""
        return tuple(o for o in self.outcomes if o.skipped)


@dataclasses.dataclass(frozen=True, slots=True)
class Reply:
    """The reply of one server to a gather: its result, or an error.

    ``total`` is the number of replies to the gather.
    """

    instance: Instance
    total: int
    result: Any = None
    error: BaseException | None = None

    @property
    def server(self) -> str:
        """The server's name."""
        return self.instance.server


@dataclasses.dataclass(frozen=True, slots=True)
class Delivered:
    """The outcome of a message at one server."""

    entry: Entry
    result: Any = None
    error: Error | None = None


class Audience:
    """The servers for a message to all servers: those that discovery lists when it is sent."""

    def __init__(self, topic: Topic, m: Message, reached: list[Entry], skipped: list[Delivered]) -> None:
        self._topic, self._message = topic, m
        self.reached = reached
        self._skipped = skipped
        self._uncertain = topic.error

    def failed(self, e: Entry, error: Error) -> Delivered:
        """Return the outcome for a server's error, and add the instance and the message to the
        error.
        """
        error = delivery.punctual(error, self._message.deadline)
        delivery.note(self._topic, e, error, delivery.by_gateway(e, error))
        error.answered = bool(error.server)
        failed = Delivered(e, error=error)
        if self._message.delivery == "gather":
            lost = is_missed(error, cast=False)
        else:
            lost = not (is_unsendable(error) or _unable(error) or _left(failed))
        if lost:
            self._topic.missed.instance(e)
        i = e.instance
        error.addr, error.server, error.instance_id = i.addr, error.server or i.server, error.instance_id or i.id
        return Delivered(e, error=delivery.about(error, self._message))

    def patience(self) -> Patience:
        """Return the limit for retries at one server."""
        return Patience(self._message.deadline)

    def report(self, ends: list[Delivered]) -> Report:
        """Return the report. It omits servers that answered that they have stopped."""
        outcomes = [
            Outcome(
                d.entry.instance,
                d.error,
                skipped=d.error is not None and _unable(d.error),
                unlisted=bool(d.entry.missing),
            )
            for d in ends
            if not _left(d)
        ]
        outcomes += [Outcome(d.entry.instance, d.error, skipped=True) for d in self._skipped]
        return Report(tuple(outcomes), self._uncertain)

    @property
    def total(self) -> int:
        """The number of replies."""
        return len(self.reached) + len(self._skipped)

    def others(self, types: ExceptionTypes) -> Iterator[Reply]:
        """Return the replies of the servers that the message is not sent to."""
        return (self.reply(d, types) for d in self._skipped)

    def reply(self, d: Delivered, types: ExceptionTypes) -> Reply:
        """Return the reply of a server."""
        error = errors.raised(d.error, types) if d.error is not None else None
        return Reply(d.entry.instance, self.total, d.result, error)


class Patience:
    """How long to try again at a full server."""

    def __init__(self, deadline: float) -> None:
        self._until = min(time.monotonic() + _FULL, deadline)
        self._pause = 0.01

    def after(self, e: Error) -> float | None:
        """Return how many seconds to wait after an error before the next attempt, or None to give
        up.
        """
        full = e.kind is Kind.REFUSED and e.safe_to_retry and e.reason in (errors.FULL, errors.DECLINED)
        pause, self._pause = self._pause, self._pause * 2
        return pause if full and time.monotonic() + pause < self._until else None


def audience(m: Message, entries: tuple[Entry, ...]) -> Audience:
    """Return the servers for a message to all servers."""
    topic = m.plan.topic
    now = time.monotonic()
    reached, skipped = [], []
    for e in entries:
        if not e.usable(now):
            continue
        if e.draining:
            message = "the server drains, and takes only messages for it by name"
            error = Error(Kind.REFUSED, message, safe_to_retry=True)
        elif not e.serves(m.plan.namespace, m.plan.version):
            error = delivery.unable(m, [e])
        else:
            reached.append(e)
            continue
        i = e.instance
        error.addr, error.server, error.instance_id = i.addr, i.server, i.id
        skipped.append(Delivered(e, error=delivery.about(error, m)))
    if topic.error is not None and not reached and not skipped:
        message = f"no server is known: {reason(topic.error)}"
        raise delivery.about(Error(Kind.UNREACHABLE, message, safe_to_retry=True), m)
    return Audience(topic, m, reached, skipped)


def _unable(e: Error) -> bool:
    return e.kind in (Kind.UNSUPPORTED_VERSION, Kind.NO_SUCH_METHOD) and e.safe_to_retry


def _left(d: Delivered) -> bool:
    return bool(d.entry.missing) and d.error is not None and d.error.reason in (errors.STOPPING, errors.MISDIRECTED)
