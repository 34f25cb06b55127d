"""The instances of each topic, and what discovery, connections and answers say about them."""

from __future__ import annotations

import dataclasses
import hashlib
import secrets
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from oslorpc import frame
from oslorpc.discovery.base import DRAINING, HELD, Instance, Registry, Update
from oslorpc.missed import Missed
from oslorpc.versions import Version

if TYPE_CHECKING:
    from oslorpc.connection import Link

_LINGER = 30.0  # seconds that an instance is kept after it vanished from the registry
_RECENT = 60.0  # seconds that messages wait for a named server after it left
_AVOID = 5.0  # seconds that an instance is avoided after its address led to another process
_IDLE = 300.0  # seconds that a topic is watched after its last use
_REMEMBERED = 64
_MANY, _FEW = 64, 32  # if more than _MANY instances are active, each client uses _FEW of them


@dataclasses.dataclass(eq=False, slots=True)
class Entry:
    """An instance in the view of a client."""

    instance: Instance
    link: Link
    missing: float = 0.0  # when it vanished from the registry; 0 while it is listed
    lost: bool = False  # it vanished because the registry lost its data, so it probably still runs
    left: bool = False  # its process answered that it has stopped
    avoided: float = 0.0  # until this time, no message is sent to it
    field: bytes = b""  # the encoded part of a request that names it

    def __post_init__(self) -> None:
        self.field = frame.instance(self.instance.id, self.instance.server)

    def usable(self, now: float) -> bool:
        """Whether messages may be sent to it."""
        if self.left or now < self.avoided or (self.instance.relayed and self.missing and not self.lost):
            return False
        return not self.missing or (now < self.missing + _LINGER and (self.lost or self.link.ready))

    def away(self, now: float) -> bool:
        """Whether the instance disappeared recently, and may come back."""
        return bool(self.missing) and not self.left and now < self.missing + _LINGER and not self.usable(now)

    @property
    def draining(self) -> bool:
        """Whether the instance accepts only messages that name it."""
        return self.instance.state == DRAINING

    @property
    def held(self) -> bool:
        """Whether the instance is held and runs nothing yet."""
        return self.instance.state == HELD

    def serves(self, namespace: str, version: Version) -> bool:
        """Whether the instance can serve a message, as far as is known."""
        offered = self.instance.implemented
        return not offered or any(i.namespace == namespace and i.version.serves(version) for i in offered)

    def describe(self) -> str:
        """Return the name and the address of the instance, for errors."""
        name = f'server "{self.instance.server}"' if self.instance.server else "the server"
        return f"{name} at {self.instance.addr}"


class Topic:
    """The instances of a topic. May be used from any thread."""

    def __init__(
        self,
        exchange: str,
        name: str,
        connect: Callable[[Instance], Link],
        me: str,
        missed: Missed,
        zone: str,
        registry: str,
    ) -> None:
        self.missed = missed
        self.registry = registry  # its name in errors
        self._zone = zone
        self.exchange, self.name = exchange, name
        self._connect = connect
        self._me = me
        self._changed = threading.Condition()
        self.state: tuple[int, tuple[Entry, ...] | None] = (0, None)  # a number for the state, and the entries
        self.closed = False
        self._memory: tuple[int, dict[object, Any]] = (-1, {})
        self._listeners: set[Callable[[], object]] = set()
        self._recent: dict[str, float] = {}
        self._error: Exception | None = None
        self.since = time.monotonic()
        self.used = self.since
        self.stop: Callable[[], None] = lambda: None

    def snapshot(self) -> tuple[int, tuple[Entry, ...] | None]:
        """Return a number for the state, and the entries, which are None if they are not known
        yet.
        """
        self.used = time.monotonic()
        return self.state

    def recall(self, seen: int, key: object) -> Any:
        """Return a cached value for a state, or None."""
        state, known = self._memory
        return known.get(key) if state == seen else None

    def remember(self, seen: int, key: object, value: object) -> bool:
        """Cache a value for a state, unless the value can change just because time passes."""
        if any(e.missing or e.avoided for e in self.state[1] or ()):
            return False
        state, known = self._memory
        if state != seen or len(known) > _REMEMBERED:
            known = {}
        self._memory = seen, {**known, key: value}
        return True

    @property
    def error(self) -> Exception | None:
        """Why discovery cannot be read now."""
        return self._error

    def recent(self, server: str) -> bool:
        """Whether a server was listed within the last minute."""
        return time.monotonic() - self._recent.get(server, -_RECENT) < _RECENT

    def near(self, e: Entry) -> bool:
        """Whether the zone of an entry is preferred for messages to any server."""
        return not self._zone or e.instance.zone == self._zone

    def preferred(self, entries: list[Entry]) -> list[Entry]:
        """Return the entries that this client prefers: all of them in a small fleet, and _FEW of
        them in a large one.
        """
        if len(entries) <= _MANY:
            return entries

        def rank(e: Entry) -> bytes:
            return hashlib.blake2b((self._me + e.instance.id + e.instance.addr).encode(), digest_size=8).digest()

        return sorted(entries, key=rank)[:_FEW]

    def update(self, u: Update) -> None:
        """Apply an update from the registry."""
        with self._changed:
            self._error = u.error
            if u.error is None:
                self._merge(u)
            self._notify()

    def _merge(self, u: Update) -> None:
        now = time.monotonic()
        before = {_key(e.instance): e for e in self.state[1] or ()}
        entries = []
        for i in u.instances:
            e = before.pop(_key(i), None)
            if e is None:
                e = Entry(i, self._connect(i))
            else:
                e.instance, e.missing, e.lost, e.avoided = i, 0.0, False, e.avoided if now < e.avoided else 0.0
            self._recent[i.server] = now
            entries.append(e)
        for e in before.values():
            if not e.missing:
                e.missing, e.lost = now, u.reset
                self._recent[e.instance.server] = now
            if now < e.missing + _LINGER or e.link.outstanding:
                entries.append(e)
            else:
                e.link.release()
        entries.sort(key=lambda e: (e.instance.id, e.instance.addr, e.instance.server))
        self.state = self.state[0], tuple(entries)

    def gone(self, e: Entry) -> None:
        """Note that an instance answered that it no longer exists.

        Instances at static addresses have no id, so this does not apply to them.
        """
        if e.instance.id:
            with self._changed:
                e.left = True
                self._notify()

    def avoid(self, e: Entry) -> None:
        """Note that a gateway currently accepts no messages for an instance."""
        with self._changed:
            e.avoided = time.monotonic() + _AVOID
            self._notify()

    def astray(self, e: Entry) -> None:
        """Note that another process answers at an instance's address."""
        with self._changed:
            e.avoided = time.monotonic() + _AVOID
            e.link.renew()
            self._notify()

    def wake(self) -> None:
        """Make waiting messages check the topic again, because a connection changed."""
        with self._changed:
            self._notify()

    def _notify(self) -> None:
        self.state = self.state[0] + 1, self.state[1]
        self._changed.notify_all()
        for listener in self._listeners:
            listener()

    def wait(self, seen: int, seconds: float) -> None:
        """Wait up to ``seconds`` until the state is no longer the one ``seen``."""
        with self._changed:
            self._changed.wait_for(lambda: self.state[0] != seen, max(seconds, 0))

    def listen(self, seen: int, listener: Callable[[], object]) -> Callable[[], None]:
        """Call a listener at each change after the state ``seen``. The returned function removes
        it.

        The listener must not block.
        """
        with self._changed:
            self._listeners.add(listener)
            if self.state[0] != seen:
                listener()

        def stop() -> None:
            with self._changed:
                self._listeners.discard(listener)

        return stop

    def close(self) -> None:
        """End the watch."""
        self.stop()
        with self._changed:
            self.closed = True
            for e in self.state[1] or ():
                e.link.release()
            self.state = self.state[0] + 1, ()


def _key(i: Instance) -> tuple[str, str, str, str]:
    return i.id, i.addr, i.server, i.boot_id  # a restarted gateway has another boot id


class Fleet:
    """The topics in use by a transport."""

    def __init__(self, registry: Registry, connect: Callable[[Instance], Link], zone: str) -> None:
        self._registry, self._zone = registry, zone
        self._connect = connect
        self._me = secrets.token_hex(8)
        self._missed = Missed()
        self._lock = threading.Lock()
        self._topics: dict[tuple[str, str], Topic] = {}

    def topic(self, exchange: str, name: str) -> Topic:
        """Return a topic, and start to watch it if it is new."""
        topic = self._topics.get((exchange, name))
        if topic is not None:
            return topic
        with self._lock:
            topic = self._topics.get((exchange, name))
            if topic is None:
                self._sweep()
                topic = Topic(exchange, name, self._connect, self._me, self._missed, self._zone, self._registry.name)
                topic.stop = self._registry.watch(exchange, name, topic.update)
                self._topics[exchange, name] = topic
            return topic

    def _sweep(self) -> None:
        now = time.monotonic()
        for key, topic in list(self._topics.items()):
            if now - topic.used > _IDLE:
                del self._topics[key]
                topic.close()

    def wake(self) -> None:
        """Make the waiting messages of all topics check again."""
        for topic in list(self._topics.values()):
            topic.wake()

    def close(self) -> None:
        """End all watches."""
        with self._lock:
            topics, self._topics = list(self._topics.values()), {}
        for topic in topics:
            topic.close()
