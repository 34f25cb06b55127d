"""The helper process as the service sees it. This module starts the helper, talks to it, and starts
another one if it ends.

eventlet may have patched every module that is used here. A forked process gets its own helper.
"""

from __future__ import annotations

import itertools
import logging
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, Protocol

from oslorpc.oslo import frames

_log = logging.getLogger("oslorpc.oslo")
_READ = 1 << 18
_SLACK = 5.0  # seconds after the deadline in which the helper may still answer
_END = 15.0  # seconds for the helper to end
_PAUSE, _MOST = 0.1, 10.0  # seconds before the next start of a helper: the first pause, and the longest


class HelperGoneError(Exception):
    """The helper process ended before it answered."""


class HelperLateError(Exception):
    """The helper process did not answer in time."""


class FailedError(Exception):
    """The helper process answered with an error, in ``told``."""

    def __init__(self, told: frames.Header) -> None:
        super().__init__(told["message"])
        self.told = told


class User(Protocol):
    """A driver that uses the helper process."""

    def restored(self, link: Link) -> None:
        """Restore the driver's state in a new helper after the previous one ended."""


class _Answer:
    __slots__ = ("done", "header", "texts")

    def __init__(self) -> None:
        self.done = threading.Event()
        self.header: frames.Header | None = None
        self.texts: list[str] = []


class Link:
    """A helper process and the socket to it. May be used from any thread."""

    def __init__(self, ended: Callable[[Link], None]) -> None:
        self.pid = os.getpid()
        self.began = time.monotonic()
        self.dead = False
        self.receivers: dict[int, Callable[[frames.Header, list[str]], None]] = {}
        self._ended = ended
        self._closing = False
        self._ids = itertools.count(1)
        self._answers: dict[int, _Answer] = {}
        self._writing = threading.Lock()
        self._socket, self._process = _launch()
        _links.add(self)
        self._thread = threading.Thread(target=self._read, name="oslorpc-helper", daemon=True)
        self._thread.start()

    def ask(self, header: frames.Header, *texts: str, timeout: float | None = None) -> list[str]:
        """Send a request to the helper, and return the texts of its answer."""
        number = next(self._ids)
        answer = self._answers[number] = _Answer()
        header["id"] = number
        try:
            self.post(header, *texts)
            if not answer.done.wait(None if timeout is None else timeout + _SLACK):
                raise HelperLateError
        finally:
            self._answers.pop(number, None)
        if answer.header is None:
            raise HelperGoneError
        if "error" in answer.header:
            raise FailedError(answer.header["error"])
        return answer.texts

    def post(self, header: frames.Header, *texts: str) -> None:
        """Send a frame."""
        frame = frames.write(header, *texts)
        if self.dead:
            raise HelperGoneError
        try:
            with self._writing:
                self._socket.sendall(frame)
        except OSError as e:
            raise HelperGoneError from e

    def _read(self) -> None:
        """Handle frames until the helper ends."""
        reader = frames.Reader()
        try:
            while data := self._socket.recv(_READ):
                for header, texts in reader.feed(data):
                    self._take(header, texts)
        except OSError:
            pass
        if self.pid != os.getpid():  # a copy of the thread, in a process that was forked
            return
        self.dead = True
        for answer in list(self._answers.values()):
            answer.done.set()
        if not self._closing:
            self._process.wait()
            self._ended(self)

    def _take(self, header: frames.Header, texts: list[str]) -> None:
        what = header["op"]
        if what == "answer":
            answer = self._answers.get(header["id"])
            if answer is not None:
                answer.header, answer.texts = header, texts
                answer.done.set()
        elif what == "message":
            receiver = self.receivers.get(header["listener"])
            if receiver is not None:
                receiver(header, texts)
        elif what == "log":
            logging.getLogger(header["logger"]).log(header["level"], "%s", header["text"])

    @property
    def status(self) -> int | None:
        """The exit status of the helper; negative for a signal."""
        return self._process.poll()

    def close(self) -> None:
        """End the helper, and wait until it has ended."""
        self._closing = True
        try:
            self._socket.shutdown(socket.SHUT_WR)
            self._process.wait(_END)
        except OSError:
            pass
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._socket.close()

    def forget(self) -> None:
        """Close the socket in a forked child.

        Otherwise the helper would not notice the end of its own process.
        """
        self.dead = True
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, self._socket.fileno())  # the socket object still owns the number
        os.close(nothing)


def _launch() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Start a helper process that inherits one end of a socket, and return the other end."""
    ours, theirs = socket.socketpair()
    try:
        program = [_python(), "-m", "oslorpc.oslo.helper", str(theirs.fileno())]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        # In its own session, the helper gets no signals from a terminal, and the service cannot
        # wait for it by accident.
        process = subprocess.Popen(
            program,
            stdin=subprocess.DEVNULL,
            env=environment,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return ours, process


def _python() -> str:
    """Return the path of the interpreter. The service may run in another program, such as uWSGI."""
    if pathlib.Path(sys.executable or "").name.startswith("python"):
        return sys.executable
    return str(pathlib.Path(sys.exec_prefix, "bin", "python3"))


class Hub:
    """The helper of this process, and the drivers that use it.

    It is started for the first message.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._link: Link | None = None
        self._users: weakref.WeakSet[Any] = weakref.WeakSet()
        self._pause = _PAUSE
        self._numbers = itertools.count(1)

    def number(self) -> int:
        """Return a number that is unique in this process."""
        return next(self._numbers)

    def link(self, user: User) -> Link:
        """Return the helper of this process."""
        link = self._link
        if link is not None and not link.dead and user in self._users:
            return link
        with self._lock:
            self._users.add(user)
            if self._link is None or self._link.dead:
                self._link = Link(self._ended)
            return self._link

    def leave(self, user: User) -> None:
        """Remove a driver. End the helper if there is no other driver."""
        with self._lock:
            self._users.discard(user)
            link = None
            if not self._users:
                link, self._link = self._link, None
        if link is not None and not link.dead:
            link.close()

    def _ended(self, link: Link) -> None:
        """Start another helper after one ended, and restore the drivers in it."""
        if time.monotonic() - link.began > _MOST:
            self._pause = _PAUSE
        _log.error(
            "the oslorpc helper process ended with status %s: calls in flight failed, and another helper "
            "registers the servers again in %g s",
            link.status,
            self._pause,
        )
        time.sleep(self._pause)
        self._pause = min(self._pause * 2, _MOST)
        with self._lock:
            users = list(self._users)
            if self._link is not None and self._link.dead:
                self._link = Link(self._ended) if users else None
            following = self._link
        if following is None:
            return
        for user in users:
            try:
                user.restored(following)
            except HelperGoneError:
                return  # its end calls this method again
            except Exception:
                _log.exception("a server was not registered again")

    def forked(self) -> None:
        """Reset the state in a forked process."""
        self._lock = threading.RLock()
        self._link = None
        self._users = weakref.WeakSet()


_links: weakref.WeakSet[Link] = weakref.WeakSet()
hub = Hub()


def _forked() -> None:
    for link in list(_links):
        if not link.dead:
            link.forget()
    _links.clear()
    hub.forked()


os.register_at_fork(after_in_child=_forked)
