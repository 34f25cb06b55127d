"""Which messages a server accepts, and in which order they get workers."""

from __future__ import annotations

import asyncio
import collections
import time

from oslorpc import errors
from oslorpc.context import Incoming
from oslorpc.errors import refused

_WINDOW, _WINDOW_SIZE = 120.0, 1 << 14


class Window:
    """The ids of recent messages, to detect repeated ones.

    They are kept in two halves. When the new half is full, or its time is over, it becomes the old
    half, and the previous old half is dropped.
    """

    def __init__(self) -> None:
        self._recent: set[str] = set()
        self._older: set[str] = set()
        self._since = time.monotonic()

    def add(self, id: str, now: float) -> bool:
        """Remember an id, and return whether it is new.

        A message without an id always counts as new.
        """
        if not id:
            return True
        if now - self._since > _WINDOW or len(self._recent) >= _WINDOW_SIZE:
            idle = now - self._since > 2 * _WINDOW
            self._older, self._recent, self._since = set() if idle else self._recent, set(), now
        if id in self._recent or id in self._older:
            return False
        self._recent.add(id)
        return True

    def forget(self, id: str) -> None:
        """Forget the id of a message that did not start, so that it may be sent again."""
        self._recent.discard(id)
        self._older.discard(id)


class Queue:
    """Hands out workers in the order of arrival.

    Messages with the same order key run one at a time.
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
        """Accept or refuse a message."""
        key = m.order_key
        free = self.running < self._workers and not self._ready and not self.holds
        if free and not key:
            self.running += 1
            return _AT_ONCE
        blocked = key != "" and key in self._lanes
        at_once = free and not blocked
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
        """Take back a ticket, whether it still waits or has a worker."""
        if ticket.runs:
            self.running -= 1
        else:
            self._leave(ticket)
            line = self._lanes[ticket.key] if ticket.behind else self._ready
            line.remove(ticket)
        if ticket.key and not ticket.behind:
            self._advance(ticket.key)
        if self._ready:
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
        """Give free workers to the messages that have waited longest."""
        while self._ready and not self.holds and self.running < self._workers:
            ticket = self._ready.popleft()
            self._leave(ticket)
            self.running += 1
            ticket.runs = True
            if ticket.turn is not None and not ticket.turn.done():
                ticket.turn.set_result(None)


class Ticket:
    """An admitted message."""

    __slots__ = ("behind", "key", "runs", "size", "turn")

    def __init__(self, size: int, key: str) -> None:
        self.size, self.key = size, key
        self.runs = self.behind = False
        self.turn: asyncio.Future[None] | None = None


_AT_ONCE = Ticket(0, "")  # shared by all messages that got a worker at once
_AT_ONCE.runs = True
