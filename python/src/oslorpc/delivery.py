"""How a message gets to an instance, at most once.

The rules are a generator without I/O: it yields actions, and gets their results. The blocking and
the asyncio API each have a driver for it, so both follow the same rules.
"""

from __future__ import annotations

import dataclasses
import enum
import random
import time
from collections.abc import Generator, Iterable
from typing import Any

from oslorpc import errors
from oslorpc.choice import Ranks, best_of, candidates
from oslorpc.errors import Error, Kind
from oslorpc.fleet import Entry, Topic
from oslorpc.missed import is_missed
from oslorpc.plain import reason
from oslorpc.target import Target
from oslorpc.versions import Version, describe_namespace, offer

_CONNECT = 1.0  # seconds that a message waits for a connection in progress
_PATIENCE = 0.05  # seconds for a new connection, or one whose last attempt failed
_TIMERS = 0.05  # seconds by which the timers of both ends may differ for the same deadline
_SETTLE = 0.5  # seconds by which discovery may lag
_LEARN = 3.0  # seconds of watching a topic, after which an unlisted server is known to be absent
_MIN_PAUSE, _MAX_PAUSE = 0.01, 1.0


class Plan:
    """The common part of all messages of a client for one method. It is made once."""

    __slots__ = (
        "bare", "fail_fast", "head", "memory", "metadata", "method", "monitor", "namespace", "order_key", "retry",
        "target", "topic", "version",
    )  # fmt: skip

    def __init__(self, target: Target, method: str, version: Version, topic: Topic) -> None:
        self.target, self.method, self.version, self.topic = target, method, version, topic
        self.namespace = target.namespace or ""
        self.retry = -1
        self.fail_fast = False
        self.monitor: float | None = None
        self.head = b""  # the fields of the message that are always the same
        self.bare = b""  # the same fields without metadata
        self.metadata: dict[str, str] = {}
        self.order_key = ""
        self.memory: tuple[int, Ranks] = (-1, [])  # a state of the topic, and its candidates for the message


class Message:
    """The part of a message that delivery uses."""

    __slots__ = ("begun", "deadline", "delivery", "plan", "turn")

    def __init__(self, plan: Plan, deadline: float, turn: int) -> None:
        self.plan, self.deadline, self.turn = plan, deadline, turn
        self.begun = time.monotonic()
        self.delivery = "call"

    def waited(self) -> float:
        """Return how many seconds the message has waited, at most until its deadline."""
        return min(time.monotonic(), self.deadline) - self.begun


@dataclasses.dataclass(slots=True)
class Connect:
    """Wait until an instance is connected. The answer is whether it is."""

    entry: Entry
    seconds: float


@dataclasses.dataclass(slots=True)
class Send:
    """Send the message to an instance. The answer is its result, or an Error is thrown."""

    entry: Entry


@dataclasses.dataclass(slots=True)
class Wait:
    """Wait up to ``seconds`` until the state of the topic is no longer the one ``seen``."""

    seen: int
    seconds: float


Step = Connect | Send | Wait
Delivery = Generator[Step, Any, Any]


class _Verdict(enum.Enum):
    ABSENT = enum.auto()
    NO_SERVER = enum.auto()
    UNABLE = enum.auto()
    AWAY = enum.auto()
    EXHAUSTED = enum.auto()


def usual(m: Message) -> Entry | None:
    """Return the instance for a message if one is known and connected, which is the usual case."""
    plan = m.plan
    seen, ranks = plan.memory
    if seen != plan.topic.state[0] or not ranks[0]:
        return None
    few = ranks[0][0]
    e = few[m.turn % len(few)]
    return e if e.link.ready and e.link.health == 0 else None


def _pick(topic: Topic, seen: int, entries: tuple[Entry, ...], m: Message, tried: set[Entry]) -> Entry | _Verdict:
    now = time.monotonic()
    ranks = candidates(topic, seen, entries, m, now)
    for groups in ranks:
        if (best := best_of(groups, m.turn, tried)) is not None:
            return best
    if any(ranks):
        return _Verdict.EXHAUSTED
    meant = [e for e in entries if m.plan.target.server in (None, e.instance.server)]
    if m.plan.target.server is None:
        meant = [e for e in meant if not e.draining]
    there = [e for e in meant if e.usable(now)]
    if there:
        away = any(e.away(now) and e.serves(m.plan.namespace, m.plan.version) for e in meant)
        return _Verdict.AWAY if away else _Verdict.UNABLE
    return _Verdict.NO_SERVER if m.plan.target.server is not None else _Verdict.ABSENT


def deliver(m: Message, first: tuple[Entry, Error] | None = None) -> Delivery:
    """Deliver a message to one instance, and return its result.

    ``first`` is an instance that was tried already, and its error.
    """
    topic, server = m.plan.topic, m.plan.target.server
    try:
        return (yield from _deliver(m, first))
    except Error as e:
        if server is not None and is_missed(e, m.delivery == "cast"):
            topic.missed.server(topic.exchange, topic.name, server)
        raise


def _deliver(m: Message, first: tuple[Entry, Error] | None) -> Delivery:
    topic = m.plan.topic
    state = _State(topic, m)
    if first is not None:
        state.failed(*first)
    while True:
        seen, entries = topic.snapshot()
        if time.monotonic() >= m.deadline:
            raise state.gave_up()
        if entries is None:
            yield from state.await_discovery(seen)
            continue
        picked = _pick(topic, seen, entries, m, state.tried)
        if isinstance(picked, Entry):
            try:
                result = yield from state.attempt(picked)
            except Error as e:
                state.failed(picked, e)
                continue
            if result is not state:
                return result
        else:
            pause = state.assess(picked, entries)
            if pause > 0:
                yield Wait(seen, min(pause, m.deadline - time.monotonic()))


class _State:
    """A message that is being delivered."""

    def __init__(self, topic: Topic, m: Message) -> None:
        self.topic, self.m = topic, m
        self.tried: set[Entry] = set()
        self.last: Error | None = None  # why the last attempt did not deliver it
        self.unable: Error | None = None  # the error of the last instance that cannot serve the message
        self.able = False  # an instance that may serve it later was tried in this round
        self.rounds = 0
        self.began = time.monotonic()
        self.absent_since = 0.0

    def await_discovery(self, seen: int) -> Generator[Step, Any, None]:
        limit = self.m.deadline
        if self.m.plan.fail_fast:
            limit = min(limit, self.began + _LEARN)
        if time.monotonic() >= limit or (self.m.plan.fail_fast and self.topic.error):
            raise self.gave_up()
        yield Wait(seen, limit - time.monotonic())

    def attempt(self, e: Entry) -> Generator[Step, Any, Any]:
        """Send to an instance.

        Returns this object in place of a result if a new connection is not ready yet. The instance
        may then be picked again.
        """
        if e.link.hopeless:
            raise e.link.unreachable(e.describe())
        if not e.link.ready:
            never = e.link.fresh
            budget = _PATIENCE if never or e.link.down else _CONNECT
            connected = yield Connect(e, min(budget, self.m.deadline - time.monotonic()))
            if not connected:
                if never and not e.link.down:
                    e.link.fresh = False
                    return self
                raise e.link.unreachable(e.describe())
        return (yield Send(e))

    def failed(self, e: Entry, error: Error) -> None:
        """Handle the error of an attempt. It is raised if no other instance may be tried."""
        i = e.instance
        error = punctual(error, self.m.deadline)
        error.answered = bool(error.server)
        of_gateway = by_gateway(e, error)
        error.addr = error.addr or i.addr
        error.server = error.server or i.server
        error.instance_id = error.instance_id or i.id
        unable = error.kind in (Kind.UNSUPPORTED_VERSION, Kind.NO_SUCH_METHOD)
        if not error.safe_to_retry or not (unable or error.not_delivered):
            raise self.about(error)
        self.tried.add(e)
        note(self.topic, e, error, of_gateway)
        if unable:
            self.unable = error
        else:
            self.able = True
            self.last = error

    def assess(self, verdict: _Verdict, entries: tuple[Entry, ...]) -> float:
        """Return how many seconds to wait after no instance was found, or raise an Error if waiting
        does not help.
        """
        if verdict is _Verdict.UNABLE:
            raise self.about(self.unable_now(entries))
        if verdict is _Verdict.EXHAUSTED:
            untrusted = self.last is not None and self.last.kind is Kind.UNTRUSTED
            if not self.able or untrusted:
                raise self.about((not untrusted and self.unable) or self.last or self.unable_now(entries))
            self.tried.clear()
            self.able = False
        elif verdict is _Verdict.AWAY:
            self.last = self.unable_now(entries)
        else:
            self.absent(verdict, entries)
        self.rounds += 1
        down = verdict is not _Verdict.EXHAUSTED or (self.last is not None and self.last.kind is Kind.UNREACHABLE)
        if (self.m.plan.fail_fast and down) or 0 <= self.m.plan.retry < self.rounds:
            raise self.about(self.last or self.unable_now(entries))
        if verdict is not _Verdict.EXHAUSTED:
            return self.until_known() if verdict is _Verdict.NO_SERVER else _MAX_PAUSE
        pause: float = min(_MIN_PAUSE * 2 ** min(self.rounds, 10), _MAX_PAUSE)
        return pause * random.uniform(0.5, 1.5)

    def absent(self, verdict: _Verdict, entries: tuple[Entry, ...]) -> None:
        self.absent_since = self.absent_since or time.monotonic()
        avoided = [e for e in entries if e.avoided > time.monotonic()]
        if verdict is _Verdict.NO_SERVER:
            message = (
                f'no server named "{self.m.plan.target.server}" is on the topic, according to {self.topic.registry}; '
                "start it, or check its name"
            )
        elif any(e.draining and not e.left for e in entries):
            message = "every server on the topic drains, and takes only messages for it by name"
        else:
            message = (
                f"no server is on the topic, according to {self.topic.registry}; "
                "start one, or check topic, exchange and transport URL"
            )
        if avoided and self.last is not None:
            return
        self.last = Error(Kind.NO_INSTANCE, message, safe_to_retry=True)

    def until_known(self) -> float:
        """Return how many seconds to wait for a server that is not listed, or raise an Error if it
        is known not to exist.
        """
        if (
            self.last is None
            or self.last.kind is not Kind.NO_INSTANCE
            or self.topic.recent(self.m.plan.target.server or "")
        ):
            return _MAX_PAUSE
        now = time.monotonic()
        left = max(_SETTLE - (now - self.absent_since), _LEARN - (now - self.topic.since))
        if left <= 0:
            raise self.about(self.last)
        return left

    def unable_now(self, entries: tuple[Entry, ...]) -> Error:
        return unable(self.m, [e for e in entries if self.m.plan.target.server in (None, e.instance.server)])

    def gave_up(self) -> Error:
        error = self.last or self.unable
        if error is not None:
            error.waited = self.m.waited()
            return self.about(error)
        unread = self.topic.snapshot()[1] is None
        if self.topic.error is not None and unread:
            return self.about(Error(Kind.UNREACHABLE, f"not sent: {reason(self.topic.error)}", safe_to_retry=True))
        why = f"not sent: {self.topic.registry} did not answer" if unread else "it was not sent"
        return self.about(Error(Kind.TIMEOUT, why, safe_to_retry=True))

    def about(self, error: Error) -> Error:
        return about(error, self.m)


def punctual(error: Error, deadline: float) -> Error:
    """Return the error of an attempt, as a Timeout if the server canceled the message at the
    deadline.

    Both ends have a timer. If the server's timer fires first, it cancels the RPC.
    """
    if error.kind is not Kind.CANCELED or time.monotonic() < deadline - _TIMERS:
        return error
    message = "the deadline passed: " + error.message
    return Error(Kind.TIMEOUT, message, safe_to_retry=error.safe_to_retry, server=error.server)


def about(error: Error, m: Message) -> Error:
    """Add the message to an error."""
    error.target, error.method = m.plan.target, m.plan.method
    if error.kind is Kind.TIMEOUT and m.delivery != "multicall" and not error.waited:
        error.waited = m.waited()
    return error


def by_gateway(e: Entry, error: Error) -> bool:
    """Whether a message was refused by a gateway, and not by the instance behind it.

    Call it before the client adds the instance to the error. Until then, only an answer of the
    instance itself names it.
    """
    return e.instance.relayed and not error.instance_id


def note(topic: Topic, e: Entry, error: Error, of_gateway: bool) -> None:
    """Update an instance's state after a refusal."""
    if of_gateway:
        if error.reason in (errors.STOPPING, errors.MISDIRECTED):
            topic.avoid(e)
        return
    misled = error.reason == errors.FOREIGN or (error.reason == errors.MISDIRECTED and e.instance.id)
    if misled and not e.missing:
        topic.astray(e)
        error.message = f"stale registration of {e.describe()}, where another process listens now: {error.message}"
    elif error.reason in (errors.STOPPING, errors.MISDIRECTED):
        topic.gone(e)


def unable(m: Message, entries: Iterable[Entry]) -> Error:
    """Return the error for when no instance implements what a message needs."""
    seen = []
    for e in entries:
        seen += [i for i in e.instance.implemented if i not in seen]
    who = f'server "{m.plan.target.server}" does not serve' if m.plan.target.server else "no server on the topic serves"
    message = f"{who} version {m.plan.version} of the {describe_namespace(m.plan.namespace)}; {offer(seen)}"
    return Error(Kind.UNSUPPORTED_VERSION, message, safe_to_retry=True)


def ceiling(entries: Iterable[Entry], namespace: str, version: Version, server: str | None) -> bool:
    """Whether every instance that implements the interface can serve a version.

    False if no instance implements it.
    """
    now = time.monotonic()
    some = False
    for e in entries:
        counts = e.instance.server == server if server is not None else not e.draining
        if not counts or not e.usable(now):
            continue
        if not e.instance.implemented:
            return False
        offered = [i.version for i in e.instance.implemented if i.namespace == namespace]
        if not offered:
            continue
        same = [v for v in offered if v.major == version.major]
        if not same or not max(same).serves(version):
            return False
        some = True
    return some
