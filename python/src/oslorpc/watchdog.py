"""Cancels operations that take too long, such as waiting for a message of a stream.

One thread serves the whole process.
"""

from __future__ import annotations

import heapq
import itertools
import os
import threading
import time
from collections.abc import Callable
from types import TracebackType


class Watchdog:
    """Calls cancel once if an expected event does not come in time. Use it as a context manager."""

    def __init__(self, cancel: Callable[[], object]) -> None:
        self._cancel = cancel
        self.barked = False
        self.deadline: float | None = None

    def expect(self, seconds: float) -> None:
        """Expect an event within ``seconds``. This replaces the previous expectation."""
        self.deadline = time.monotonic() + seconds
        _kennel().add(self, self.deadline)

    def check(self, deadline: float) -> None:
        """Call cancel if ``deadline`` is still the current one. The thread calls this when it
        passes.
        """
        if self.deadline == deadline:
            self.barked = True
            self._cancel()

    def __enter__(self) -> Watchdog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.deadline = None


class _Kennel:
    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._heap: list[tuple[float, int, Watchdog]] = []
        self._count = itertools.count()
        self.pid = os.getpid()
        threading.Thread(target=self._run, name="oslorpc-watchdog", daemon=True).start()

    def add(self, dog: Watchdog, deadline: float) -> None:
        with self._changed:
            heapq.heappush(self._heap, (deadline, next(self._count), dog))
            if self._heap[0][2] is dog:
                self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._heap:
                    self._changed.wait()
                deadline, _, dog = self._heap[0]
                late = deadline - time.monotonic()
                if late > 0 and dog.deadline == deadline:
                    self._changed.wait(late)
                    continue
                heapq.heappop(self._heap)
            dog.check(deadline)


_lock = threading.Lock()
_one: _Kennel | None = None


def _kennel() -> _Kennel:
    global _one
    with _lock:
        if _one is None or _one.pid != os.getpid():
            _one = _Kennel()
        return _one
