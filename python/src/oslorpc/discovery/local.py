"""The registry for the processes of one user on one machine: files with locks, in a private
directory.

A process is alive while it holds the lock of its file. docs/protocol.md has the rules.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import logging
import os
import re
import secrets
import socket
import stat
import threading
import time
from collections.abc import Callable, Sequence

from oslorpc.discovery.base import (
    Instance,
    Loop,
    Notify,
    Update,
)
from oslorpc.discovery.localfile import decode, encode, is_process_file, is_socket, is_temporary
from oslorpc.errors import Error, Kind, invalid

INTERVAL = 0.25
_STALE = 60
_MAX_SOCKET_PATH = 103
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_log = logging.getLogger("oslorpc.local")


class LocalRegistry:
    """The registry in a directory."""

    def __init__(self, directory: str | None = None) -> None:
        self.dir = directory or f"/tmp/oslorpc-{os.geteuid()}"
        self.name = f"the directory {self.dir}"
        _ensure(self.dir)
        self._publication = _Publication(self.dir)
        self._lock = threading.Lock()
        self._scan_lock = threading.Lock()
        self._scanner = _Scanner(self.dir)
        self._watches: dict[object, _Watch] = {}
        self._loop: Loop | None = None
        os.register_at_fork(after_in_child=self._publication.abandon)
        self._sweep_sockets()

    def publish(self, instances: Sequence[Instance], timeout: float = 10) -> None:
        """Write the instances to the file of this process."""
        self._publication.set(list(instances))
        self._look()

    def watch(self, exchange: str, topic: str, notify: Notify) -> Callable[[], None]:
        """Watch a topic. The directory is scanned four times a second."""
        key = object()
        with self._lock:
            self._watches[key] = _Watch(exchange, topic, notify)
        self._look()

        def stop() -> None:
            with self._lock:
                self._watches.pop(key, None)

        return stop

    def list(self) -> list[Instance]:
        """Return the instances in all files of the directory."""
        with self._scan_lock:
            return self._scanner.scan()

    def await_listed(self, instances: Sequence[Instance], timeout: float) -> bool:
        """Wait until other processes have had time to scan."""
        time.sleep(min(INTERVAL * 1.2, timeout))
        return True

    def socket(self) -> str | None:
        """Return a new path in the directory for the servers' socket."""
        path = os.path.join(self.dir, secrets.token_hex(4) + ".sock")
        if len(path.encode()) > _MAX_SOCKET_PATH:
            raise invalid(
                f"local registry: {self.dir} has a path that is too long for sockets, which may have "
                f"{_MAX_SOCKET_PATH} bytes: name a directory with a shorter path, "
                "or listen on an address such as 127.0.0.1:0"
            )
        return path

    def lapses(self, notify: Callable[[str], None]) -> None:
        """Set the function that is called when the file was missing, and has been written again."""
        self._publication.lapsed = notify

    def close(self) -> None:
        """Remove the file of this process, and end all watches."""
        with self._lock:
            self._watches.clear()
            loop, self._loop = self._loop, None
        if loop is not None:
            loop.end(wait=1)
        self._publication.set([])

    def _look(self) -> None:
        with self._lock:
            if self._loop is None:
                self._loop = Loop("oslorpc-local", self._step)
            else:
                self._loop.wake()

    def _step(self) -> float:
        self._publication.check()
        with self._scan_lock:
            with self._lock:
                watches = list(self._watches.values())
            if watches:
                self._tell(watches)
        return INTERVAL

    def _tell(self, watches: Sequence[_Watch]) -> None:
        try:
            found = self._scanner.scan()
        except Error as e:
            for w in watches:
                w.tell(Update(error=e))
            return
        reset = self._scanner.take_lost()
        for w in watches:
            mine = tuple(i for i in found if (i.exchange, i.topic) == (w.exchange, w.topic))
            w.tell(Update(mine, reset=reset))

    def _sweep_sockets(self) -> None:
        """Remove sockets of processes that died before they published anything."""
        for name in os.listdir(self.dir):
            path = os.path.join(self.dir, name)
            with contextlib.suppress(OSError):
                if not is_socket(name) or time.time() - os.lstat(path).st_mtime < _STALE:
                    continue
                with socket.socket(socket.AF_UNIX) as s:
                    s.settimeout(1)
                    try:
                        s.connect(path)
                    except ConnectionRefusedError:
                        os.unlink(path)


@dataclasses.dataclass(slots=True)
class _Watch:
    exchange: str
    topic: str
    notify: Notify
    last: Update | None = None

    def tell(self, update: Update) -> None:
        if (
            self.last is None
            or update.reset
            or update.instances != self.last.instances
            or ((update.error is None) != (self.last.error is None))
        ):
            self.last = update
            self.notify(update)


class _Publication:
    """The file of this process, if it has published anything."""

    def __init__(self, directory: str) -> None:
        self._dir = directory
        self._unique = "".join(secrets.choice(_ALPHABET) for _ in range(26))
        self._lock = threading.Lock()
        self._instances: list[Instance] = []
        self._fd = -1
        self._path = ""
        self.lapsed: Callable[[str], None] = lambda reason: None

    def set(self, instances: list[Instance]) -> None:
        with self._lock:
            if instances:
                self._write(instances)
            elif self._fd >= 0:
                # Remove the file before releasing its lock, so that no reader finds it without a
                # lock.
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._path)
                os.close(self._fd)
                self._fd = -1
            self._instances = instances

    def check(self) -> None:
        """Write the file again if it was removed or replaced."""
        with self._lock:
            if self._fd < 0 or self._in_place():
                return
            try:
                self._write(self._instances)
            except Error as e:
                _log.warning("local registry: our file is gone and cannot be written: %s", e)
                return
        self.lapsed("the process's file was gone from the registry's directory")

    def abandon(self) -> None:
        """Close the file in a forked child, which would otherwise hold its lock."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _in_place(self) -> bool:
        try:
            ours, there = os.fstat(self._fd), os.lstat(self._path)
        except OSError:
            return False
        return (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)

    def _write(self, instances: list[Instance]) -> None:
        _ensure(self._dir)
        readable = re.sub(r"[^0-9A-Za-z-]", "_", instances[0].boot_id)[:64]
        path = os.path.join(self._dir, f"oslorpc-{readable}-{self._unique}.json")
        temporary = f"{path}.{secrets.randbelow(10**9)}.tmp"
        try:
            fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as e:
            raise _unreachable(self._dir, f"cannot create a file: {e}") from e
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            os.write(fd, encode(instances).encode())
            os.utime(fd)
            os.rename(temporary, path)
        except OSError as e:
            os.close(fd)
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise _unreachable(temporary, f"cannot write and lock the file: {e}") from e
        before, self._fd, self._path = self._fd, fd, path
        if before >= 0:
            os.close(before)


class _Scanner:
    """Reads the directory. It parses only changed files. It tests all locks in each scan, because a
    lock shows that the process lives.
    """

    def __init__(self, directory: str) -> None:
        self._dir = directory
        self._known: dict[str, tuple[tuple[int, ...], list[Instance]]] = {}
        self._directory: tuple[int, int] | None = None
        self._lost = False

    def take_lost(self) -> bool:
        lost, self._lost = self._lost, False
        return lost

    def scan(self) -> list[Instance]:
        try:
            info = os.lstat(self._dir)
        except FileNotFoundError:
            self._lost = self._lost or self._directory is not None
            self._directory = None
            self._known = {}
            return []
        _verify(self._dir, info)
        here = (info.st_dev, info.st_ino)
        self._lost = self._lost or self._directory not in (None, here)
        self._directory = here
        try:
            names = {*os.listdir(self._dir), *self._known}
        except OSError as e:
            raise _unreachable(self._dir, f"cannot read the directory: {e}") from e
        known = {}
        for name in sorted(names):
            if is_temporary(name):
                self._sweep(os.path.join(self._dir, name))
            if is_process_file(name) and (found := self._read(name)) is not None:
                known[name] = found
        self._known = known
        return [i for _, instances in known.values() for i in instances]

    def _read(self, name: str) -> tuple[tuple[int, ...], list[Instance]] | None:
        path = os.path.join(self._dir, name)
        for _ in range(100):
            try:
                fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError:
                return None
            try:
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    return None
                if _owned(fd):
                    return self._parse(name, path, fd)
                if self._bury(name, path, fd):
                    return None
            finally:
                os.close(fd)
        return self._known.get(name)

    def _parse(self, name: str, path: str, fd: int) -> tuple[tuple[int, ...], list[Instance]]:
        info = os.fstat(fd)
        identity = (info.st_dev, info.st_ino, info.st_mtime_ns, info.st_size)
        before = self._known.get(name)
        if before is not None and before[0] == identity:
            return before
        instances: list[Instance] = []
        try:
            instances = decode(os.pread(fd, info.st_size, 0))
        except ValueError as e:
            _log.warning("local registry: skipping %s, which cannot be read: %s", path, e)
        return identity, instances

    def _bury(self, name: str, path: str, fd: int) -> bool:
        """Remove the file of a dead process. Return False if another file has replaced it."""
        ours = os.fstat(fd)
        try:
            there = os.lstat(path)
        except FileNotFoundError:
            return True
        if (ours.st_dev, ours.st_ino) != (there.st_dev, there.st_ino):
            return False
        with contextlib.suppress(OSError, ValueError):
            for i in decode(os.pread(fd, ours.st_size, 0)):
                socket_dir, base = os.path.split(i.addr.removeprefix("unix:"))
                if i.addr.startswith("unix:") and socket_dir == self._dir and is_socket(base):
                    with contextlib.suppress(OSError):
                        os.unlink(i.addr.removeprefix("unix:"))
        with contextlib.suppress(OSError):
            os.unlink(path)
        return True

    def _sweep(self, path: str) -> None:
        with contextlib.suppress(OSError):
            if time.time() - os.lstat(path).st_mtime < _STALE:
                return
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                if not _owned(fd):
                    os.unlink(path)
            finally:
                os.close(fd)


def _owned(fd: int) -> bool:
    """Whether a process holds the lock of a file."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _ensure(directory: str) -> None:
    try:
        os.mkdir(directory, 0o700)
    except FileExistsError:
        pass
    except FileNotFoundError:
        raise invalid(
            f"local registry: {directory} cannot be created, since the directory above it does not exist"
        ) from None
    except OSError as e:
        raise _unreachable(directory, f"cannot create the directory: {e}") from e
    _verify(directory, os.lstat(directory))


def _verify(directory: str, info: os.stat_result) -> None:
    why = ""
    if stat.S_ISLNK(info.st_mode):
        why = "is a symbolic link: name the directory itself with local:///absolute/directory"
    elif not stat.S_ISDIR(info.st_mode):
        why = "is not a directory: name another one with local:///absolute/directory"
    elif info.st_uid != os.geteuid():
        why = f"belongs to user {info.st_uid}, who would get the requests of this one, {os.geteuid()}: name another one"
    elif info.st_mode & 0o077:
        mode = stat.S_IMODE(info.st_mode)
        why = f"is open to other users (mode {mode:04o}): see that none put files there, then chmod 0700"
    if why:
        raise invalid(f"local registry: {directory} {why}")


def _unreachable(path: str, why: str) -> Error:
    return Error(Kind.UNREACHABLE, f"local registry: {path}: {why}", safe_to_retry=True)
