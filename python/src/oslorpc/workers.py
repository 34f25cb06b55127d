"""Threads for blocking methods. They pass results to the event loop in batches, or send them."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import contextvars
import logging
import threading
from collections.abc import Callable
from typing import Any

_log = logging.getLogger("oslorpc.server")
_LOOK = 0.001  # seconds between two looks whether the results are sent


class Job:
    """A job for a thread."""

    __slots__ = ("_context", "_error", "_left", "_result", "_sends", "_work", "ended", "future")

    def __init__(
        self, work: Callable[[], Any], future: asyncio.Future[Any], left: Callable[[], object], sends: bool
    ) -> None:
        self._work, self._left, self._sends = work, left, sends
        self._context = contextvars.copy_context()
        self._result: Any = None
        self._error: BaseException | None = None
        self.future = future  # its awaiter's future; canceling it does not end the job
        self.ended = False

    def run(self) -> None:
        """Run the job in the thread."""
        try:
            self._result = self._context.run(self._work)
        except BaseException as e:
            self._error = e
        del self._work, self._context

    def send(self) -> None:
        """Send the result from the thread, if the job does that."""
        if self._sends and self._error is None:
            try:
                self._result()
            except Exception:
                _log.exception("a result could not be sent")

    def tell(self) -> None:
        """Set the result, on the event loop."""
        self.ended = True
        self._left()
        if self.future.done():
            return
        if self._error is None:
            self.future.set_result(self._result)
        elif isinstance(self._error, StopIteration):  # a future refuses this exception
            self.future.set_exception(RuntimeError(f"the method raised {self._error!r}"))
        else:
            self.future.set_exception(self._error)


class Workers:
    """Threads that are started on demand. Everything but their jobs runs on the event loop.

    Few threads wake up for many short jobs: only one is woken at a time. When it has its job and
    others are left, it wakes another thread.
    """

    def __init__(self, name: str, most: int) -> None:
        self._name, self._most = name, most
        self._loop: asyncio.AbstractEventLoop | None = None
        self._jobs: collections.deque[Job] = collections.deque()
        self._idle: list[threading.Lock] = []  # each is held until its thread is to wake up
        self._done: collections.deque[Job] = collections.deque()
        self._sending: collections.deque[None] = collections.deque()  # one for each thread that sends a result
        self._waking = self._telling = self._ended = False
        self._threads = self._busy = 0

    def start(self, work: Callable[[], Any], left: Callable[[], object], sends: bool = False) -> Job:
        """Run a job in a thread. ``left`` is called on the event loop when the thread is free.

        With ``sends``, the result is a function that sends it. The thread calls it when the job has
        ended for settle(). So a caller that has the result finds the thread free.
        """
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        job = Job(work, self._loop.create_future(), left, sends)
        self._busy += 1
        self._jobs.append(job)
        if self._busy > self._threads and self._threads < self._most:
            self._threads += 1
            name = f"{self._name}_{self._threads - 1}"
            threading.Thread(target=self._run, args=(self._loop,), name=name, daemon=True).start()
        else:
            self._wake()
        return job

    def _wake(self) -> None:
        """Wake a thread if there is a job, unless another thread is waking up: that one will look
        for jobs.
        """
        if self._jobs and not self._waking:
            with contextlib.suppress(IndexError):  # no thread is idle; each looks for a job when it ends its own
                gate = self._idle.pop()
                self._waking = True
                gate.release()

    async def outlive(self, job: Job) -> None:
        """Wait for a job whose result is no longer wanted."""
        while not job.ended:
            job.future = asyncio.get_running_loop().create_future()
            try:
                await job.future
            except asyncio.CancelledError:
                continue
            except BaseException:
                return

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        gate = threading.Lock()
        gate.acquire()
        while True:
            try:
                job = self._jobs.popleft()
            except IndexError:
                self._idle.append(gate)
                if self._ended:
                    return
                self._wake()  # a job may have come just before this thread became idle
                gate.acquire()
                self._waking = False
                continue
            self._wake()
            job.run()
            self._sending.append(None)
            self._done.append(job)
            job.send()
            self._sending.pop()
            del job
            if not self._telling:  # otherwise a pending call handles this job, too
                self._telling = True
                try:
                    loop.call_soon_threadsafe(self._tell)
                except RuntimeError:
                    return  # the loop is closed

    def _tell(self) -> None:
        self._telling = False
        self.settle()

    def settle(self) -> None:
        """Count the threads as free whose jobs have ended, and set the results."""
        while self._done:
            self._busy -= 1
            self._done.popleft().tell()

    async def sent(self) -> None:
        """Wait until the threads have sent the results of ended jobs, which takes no time to speak
        of.
        """
        while self._sending:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK)

    def shutdown(self) -> None:
        """End the threads after their current jobs."""
        self._ended = True
        while self._idle:
            self._idle.pop().release()
