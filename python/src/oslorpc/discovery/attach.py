"""Servers that no other process can connect to. Their process opens a stream to a gateway instead,
and the stream carries one connection.

The servers listen on a private socket, to which the data of the stream is copied. So the gateway is
an ordinary client of the servers, also with TLS. See docs/gateway.md.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import os
import random
import selectors
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc

from oslorpc import status, wire
from oslorpc.connection import failure
from oslorpc.discovery.base import ACTIVE, DRAINING, HELD, Instance
from oslorpc.errors import FOREIGN, Error, Kind
from oslorpc.v1 import gateway_pb2 as pb
from oslorpc.v1 import introspection_pb2 as introspection

_log = logging.getLogger("oslorpc.gateway")
_ATTACH = "/oslorpc.v1.GatewayService/Attach"
_FRAME = (16 << 10) - 64
_WITHIN = 5.0  # seconds for an attempt to attach to one gateway
_MIN_PAUSE, _MAX_PAUSE = 0.2, 3.0
_STATES = {ACTIVE: introspection.STATE_ACTIVE, HELD: introspection.STATE_HELD, DRAINING: introspection.STATE_DRAINING}

Open = Callable[[str], grpc.Channel]
Headers = Callable[[], Any]


class Attacher:
    """Keeps a process attached to one of several gateways while it serves anything."""

    def __init__(self, addrs: Sequence[str], open_channel: Open, headers: Headers) -> None:
        self._addrs, self._open, self._headers = list(addrs), open_channel, headers
        self._dir = ""
        self._cond = threading.Condition()
        self._thread: threading.Thread | None = None
        self._ended = False
        self._lapsed: Callable[[str], None] = lambda reason: None
        self._wanted: list[Instance] = []
        # The numbers of the last publications that were requested, accepted and refused.
        self._number = self._taken = self._failed = 0
        self._error: Error | None = None
        # The following fields belong to the thread.
        self._at: _Attachment | None = None
        self._has = 0  # the number of the publication that the gateway has
        self._was = False
        self._first = random.randrange(len(self._addrs))

    def socket(self) -> str:
        """Return a path for the servers' socket, in a directory that no other user can enter."""
        with self._cond:
            if not self._dir:
                self._dir = tempfile.mkdtemp(prefix="oslorpc-")
            return os.path.join(self._dir, "server")

    def lapses(self, notify: Callable[[str], None]) -> None:
        """Set the function that is called with a reason each time the process is attached again
        after an interruption.
        """
        self._lapsed = notify

    def publish(self, instances: Sequence[Instance], timeout: float) -> None:
        """Publish the instances, and return when a gateway has accepted them. An empty list
        withdraws all.

        Raises an Error if no gateway accepts them within ``timeout`` seconds.
        """
        with self._cond:
            if self._ended or (not instances and self._thread is None):
                return
            before, self._wanted = self._wanted, list(instances)
            self._number += 1
            number = self._number
            if self._thread is None:
                self._thread = threading.Thread(target=self._keep, name="oslorpc-attach", daemon=True)
                self._thread.start()
            self._cond.notify_all()
            self._cond.wait_for(lambda: max(self._taken, self._failed) >= number or self._ended, timeout)
            if self._taken >= number or self._ended:
                return
            error = self._error if self._failed >= number else None
            if self._number == number and instances:
                self._wanted = before
                self._number += 1
                self._cond.notify_all()
        raise error or Error(Kind.TIMEOUT, "no gateway accepted the servers in time", safe_to_retry=True)

    def close(self) -> None:
        """Leave the gateway."""
        with self._cond:
            self._ended = True
            self._cond.notify_all()
        if self._thread is not None:
            self._thread.join(_WITHIN)
        if self._dir:
            shutil.rmtree(self._dir, ignore_errors=True)

    def _tell(self, number: int, error: Error | None) -> None:
        with self._cond:
            if error is None:
                self._taken = max(self._taken, number)
            else:
                self._failed, self._error = max(self._failed, number), error
            self._cond.notify_all()

    def _keep(self) -> None:
        pause = _MIN_PAUSE
        while not self._ended:
            retry = self._step()
            self._wait(random.uniform(pause / 2, pause) if retry else None)
            pause = min(2 * pause, _MAX_PAUSE) if retry else _MIN_PAUSE
        if self._at is not None:
            self._at.end()

    def _wait(self, patience: float | None) -> None:
        """Wait until there is something to do."""
        at = self._at
        told = at is not None and at.closing
        with self._cond:
            number = self._number

            def news() -> bool:
                changed = self._number != number or self._number != max(self._has, self._taken, self._failed)
                return self._ended or changed or (at is not None and (at.gone or (at.closing and not told)))

            self._cond.wait_for(news, patience)
        if at is not None and at.gone:
            if self._wanted and not self._ended:
                why = at.error and at.error.message
                _log.warning("the servers lost the gateway at %s, to which they were attached: %s", at.addr, why)
            self._at = None

    def _step(self) -> bool:
        """Bring the gateway up to date, and return whether to try again soon."""
        with self._cond:
            wanted, number = self._wanted, self._number
        at = self._at
        if at is None and not wanted:
            self._has = number
            self._tell(number, None)
            return False
        if at is None or (at.closing and wanted):
            return self._move(wanted, number)
        if self._has != number:
            try:
                at.publish(wanted, _WITHIN)
            except Error as e:
                if at.gone:
                    return False
                self._tell(number, e)
            else:
                self._tell(number, None)
            self._has = number
        return False

    def _move(self, wanted: list[Instance], number: int) -> bool:
        """Attach the process to a gateway, or to another gateway if it is attached already."""
        left = self._at
        try:
            self._at = self._attach_any(wanted)
        except Error as e:
            if left is None:
                _log.warning("the servers of this process are attached to no gateway; it tries again: %s", e)
                self._has = number
                self._tell(number, e)
            return True
        self._has = number
        self._tell(number, None)
        if left is not None:
            _log.info(
                "the servers moved from the gateway at %s, which is about to stop, to %s", left.addr, self._at.addr
            )
            threading.Thread(target=left.leave, name="oslorpc-leave", daemon=True).start()
        elif self._was:
            _log.info("the servers are attached again, to the gateway at %s", self._at.addr)
            self._lapsed(f"the process was attached to no gateway for a while, and is attached to {self._at.addr} now")
        self._was = True
        return False

    def _attach_any(self, wanted: list[Instance]) -> _Attachment:
        """Attach the process to the first gateway that accepts it."""
        errors: list[Error] = []
        for n in range(len(self._addrs)):
            at = (self._first + n) % len(self._addrs)
            addr = self._addrs[at]
            if self._at is not None and self._at.addr == addr:
                continue
            try:
                attached = self._attach(addr, wanted)
            except Error as e:
                errors.append(e)
            else:
                self._first = at
                return attached
        if not errors:
            raise Error(Kind.UNREACHABLE, "there is no other gateway", safe_to_retry=True)
        waits = (Kind.TIMEOUT, Kind.CANCELED, Kind.UNREACHABLE)
        kind = next((e.kind for e in errors if e.kind not in waits), Kind.UNREACHABLE)
        reason = next((e.reason for e in errors if e.kind is kind), "")
        text = "no gateway accepts the servers: " + "; ".join(e.message for e in errors)
        raise Error(kind, text, reason=reason, safe_to_retry=True)

    def _attach(self, addr: str, wanted: list[Instance]) -> _Attachment:
        attached = _Attachment(addr, self._open(addr), self._headers(), self.socket(), self._cond)
        try:
            attached.publish(wanted, _WITHIN)
        except Error:
            attached.end()
            raise
        return attached


class _Attachment:
    """A stream to one gateway, and the connection in it.

    The condition guards the fields that other threads read.
    """

    def __init__(self, addr: str, channel: grpc.Channel, headers: Any, path: str, cond: threading.Condition) -> None:
        self.addr, self._channel, self._cond = addr, channel, cond
        self.closing = self.gone = False
        self.error: Error | None = None
        self._publications: collections.deque[list[Instance]] = collections.deque()
        self._asked = self._answered = 0
        self._verdict = b""
        self._done = False  # the end of the requests; nothing is sent after it
        self._wake, self._woken = socket.socketpair()
        self._server = socket.socket(socket.AF_UNIX)
        try:
            self._server.connect(path)
        except OSError as e:
            self._close()
            raise Error(
                Kind.UNREACHABLE, f"the servers of this process do not answer: {e}", safe_to_retry=True
            ) from None
        attach = channel.stream_stream(_ATTACH, pb.AttachRequest.SerializeToString, pb.AttachResponse.FromString)
        self._stream: Any = attach(self._requests(), metadata=headers)
        threading.Thread(target=self._receive, name="oslorpc-attached", daemon=True).start()

    def publish(self, instances: list[Instance], timeout: float) -> None:
        """Send the gateway the list of instances, and return when it has accepted them."""
        end = time.monotonic() + timeout
        with self._cond:
            self._publications.append(instances)
            self._asked += 1
            number = self._asked
            self._poke()
            self._cond.wait_for(lambda: self._answered >= number or self.gone, end - time.monotonic())
            answered, verdict = self._answered >= number, self._verdict
        if answered:
            if verdict:
                raise self._named(_decode(verdict))
        elif self.gone:
            raise self._named(self.error or Error(Kind.UNREACHABLE, "it ended the attachment", safe_to_retry=True))
        else:
            raise self._named(Error(Kind.TIMEOUT, "it does not answer in time", safe_to_retry=True))

    def _named(self, e: Error) -> Error:
        text = e.message
        if e.reason == FOREIGN or e.kind is Kind.NO_SUCH_METHOD:
            text = "it accepts no attached servers, or is no gateway: start it with --attach"
        return Error(e.kind, f"the gateway at {self.addr}: {text}", reason=e.reason, safe_to_retry=True)

    def _poke(self) -> None:
        with contextlib.suppress(OSError):
            self._wake.send(b"x")

    def _requests(self) -> Iterator[Any]:
        """Yield the requests of the stream: publications, and data that the servers write."""
        selector = selectors.DefaultSelector()
        selector.register(self._server, selectors.EVENT_READ)
        selector.register(self._woken, selectors.EVENT_READ)
        with selector, contextlib.suppress(OSError, ValueError):
            while not self._done:
                ready = {key.fileobj for key, _ in selector.select()}
                if self._woken in ready:
                    self._woken.recv(1 << 10)
                while self._publications:
                    yield pb.AttachRequest(publish=_publication(self._publications.popleft()))
                if self._server in ready:
                    data = self._server.recv(_FRAME)
                    if not data:  # the servers closed the connection
                        return
                    yield pb.AttachRequest(data=data)

    def _receive(self) -> None:
        error: Error | None = None
        try:
            for response in self._stream:
                frame = response.WhichOneof("frame")
                if frame == "data":
                    with contextlib.suppress(OSError):  # the servers closed the connection: the end follows
                        self._server.sendall(response.data)
                    continue
                with self._cond:
                    if frame == "published":
                        self._answered += 1
                        self._verdict = response.published.status
                    elif frame == "closing":
                        self.closing = True
                    self._cond.notify_all()
        except grpc.RpcError as e:
            error = failure(e)
        except ValueError as e:  # the channel was closed
            error = Error(Kind.UNREACHABLE, str(e), safe_to_retry=True)
        with self._cond:
            self.error, self.gone = error, True
            self._cond.notify_all()
        self._close()

    def leave(self) -> None:
        """Withdraw the servers here, and wait until the gateway has ended the attachment."""
        with contextlib.suppress(Error):
            self.publish([], _WITHIN)
        with self._cond:
            self._cond.wait_for(lambda: self.gone)

    def end(self) -> None:
        """End the attachment at once."""
        self._stream.cancel()
        with self._cond:
            self._cond.wait_for(lambda: self.gone, _WITHIN)

    def _close(self) -> None:
        self._done = True
        self._poke()
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._channel.close()


def _publication(instances: list[Instance]) -> pb.AttachPublish:
    m = pb.AttachPublish()
    for i in instances:
        one = m.instances.add(id=i.id, boot_id=i.boot_id, exchange=i.exchange, topic=i.topic, server=i.server)
        one.zone = i.zone
        one.state = _STATES.get(i.state, introspection.STATE_ACTIVE)
        for offer in i.implemented:
            one.implemented.add(namespace=offer.namespace or None, version=str(offer.version))
    return m


def _decode(encoded: bytes) -> Error:
    st = wire.Status.FromString(encoded)
    return status.Evidence(sent=False).decode(st.code, st.message, encoded)
