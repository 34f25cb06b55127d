"""The request context of a message, in the view of a method."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oslorpc.around import Running


class RequestContext(dict[str, Any]):
    """The request context, a dict as in oslo.messaging, with information about the message.

    Pass it on with the calls that the method makes.
    """

    def __init__(self, content: dict[str, Any], message: Incoming) -> None:
        super().__init__(content)
        self._message = message

    @property
    def method(self) -> str:
        """The requested method."""
        return self._message.method

    @property
    def message_id(self) -> str:
        """The id of the message, or an empty string."""
        return self._message.id

    @property
    def version(self) -> str:
        """The requested version."""
        return self._message.version

    @property
    def server(self) -> str:
        """The name of the server that runs the method."""
        return self._message.server

    @property
    def caller(self) -> str:
        """The name that the sender gives itself."""
        return self._message.caller

    @property
    def metadata(self) -> dict[str, str]:
        """Metadata for code around the method, such as trace context."""
        return self._message.metadata

    @property
    def remaining(self) -> float | None:
        """How many seconds the caller still waits, or None if no caller waits, as for a cast."""
        deadline = self._message.deadline
        return None if deadline is None else max(deadline - time.monotonic(), 0.0)

    @property
    def canceled(self) -> bool:
        """Whether the caller has left, or the server is being stopped by force.

        If so, the method should end.
        """
        return self._message.canceled

    def wait_canceled(self, seconds: float) -> bool:
        """Wait up to ``seconds``, or until the method is canceled, and return whether it is
        canceled.

        It blocks the thread, so only methods that run in threads may use it.
        """
        return self._message.wait_canceled(seconds)


class Incoming:
    """A message at a server."""

    __slots__ = (
        "_event",
        "around",
        "bounded",
        "caller",
        "canceled",
        "deadline",
        "id",
        "metadata",
        "method",
        "on_cancel",
        "order_key",
        "promise",
        "server",
        "size",
        "ticket",
        "version",
    )

    def __init__(self, method: str, id: str, version: str, server: str, caller: str, size: int) -> None:
        self.method, self.id, self.version, self.server = method, id, version, server
        self.caller, self.size = caller, size
        self.order_key = ""
        self.metadata: dict[str, str] = {}
        self.deadline: float | None = None
        self.bounded = False  # the sender's deadline is earlier than the RPC's
        self.canceled = False
        self.on_cancel: Callable[[], object] | None = None
        self.around: Running | None = None  # the interceptors around the method
        self._event: threading.Event | None = None
        # Makes a function that sends a response from any thread. Without it, the event loop sends
        # it.
        self.promise: Callable[[bytes], Callable[[], None]] | None = None
        self.ticket: Any = None  # its place in the queue, or its worker

    def content(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Decode the request context and the keyword arguments."""
        raise NotImplementedError

    def answer(self, work: Callable[[], Any]) -> Callable[[], None]:
        """Run the method in its thread, and return a function that sends the result from there."""
        raise NotImplementedError

    def expect(self, now: float, remaining: float | None, own: float | None) -> None:
        """Set the deadline: the earlier one of the RPC's deadline and the sender's."""
        if remaining is not None:
            self.deadline = now + remaining
        if own is not None and (self.deadline is None or now + own < self.deadline):
            self.deadline, self.bounded = now + own, True

    def cancel(self) -> None:
        """Cancel the method. Call it on the event loop."""
        self.canceled = True
        if self._event is not None:
            self._event.set()
        if self.on_cancel is not None:
            self.on_cancel()

    def wait_canceled(self, seconds: float) -> bool:
        """Wait in a thread up to ``seconds``, or until the method is canceled, and return whether
        it is.
        """
        with _waiting:
            if self._event is None:
                self._event = threading.Event()
        if self.canceled:
            return True
        return self._event.wait(seconds)


_waiting = threading.Lock()
