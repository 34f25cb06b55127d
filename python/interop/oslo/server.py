"""The oslo.messaging server of `make interop`: python server.py URL TOPIC NAME.

It stops at SIGTERM.
"""

import signal
import sys
import threading
import time
from typing import Any

import oslo_messaging as om
import service
import wire
from ports import PortNotFound

Context = dict[str, Any]


class Methods:
    """The methods that the servers of every language have, except those that stream."""

    target = om.Target(version="1.2")

    def __init__(self, name: str) -> None:
        self.name = name

    def whoami(self, ctxt: Context) -> str:
        """Return the name of the server."""
        return self.name

    def echo(self, ctxt: Context, **kwargs: Any) -> dict[str, Any]:
        """Return the arguments."""
        return kwargs

    def context(self, ctxt: Context) -> Context:
        """Return the request context."""
        return ctxt

    def add(self, ctxt: Context, a: int, b: int) -> int:
        """Return a sum."""
        return a + b

    def blob(self, ctxt: Context, size: int) -> str:
        """Return a long text."""
        return "x" * size

    def fail(self, ctxt: Context, message: str) -> None:
        """Fail."""
        raise ValueError(message)

    def missing(self, ctxt: Context, port: int) -> None:
        """Fail with an exception whose class is registered."""
        raise PortNotFound(port=port)

    def note(self, ctxt: Context, note: str, seconds: float) -> str:
        """Report the call, and return the name of the server after ``seconds``."""
        wire.event("ran", note)
        time.sleep(seconds)
        return self.name

    def sleep(self, ctxt: Context, note: str, seconds: float) -> str:
        """Sleep. oslo.messaging cannot tell a method that its caller has left."""
        wire.event("began", note)
        time.sleep(seconds)
        return "slept"


def main(url: str, topic: str, name: str) -> None:
    """Serve until SIGTERM, or until the runner has ended."""
    ended: list[int] = []  # no threading.Event: a signal handler must not wait for its lock
    signal.signal(signal.SIGTERM, lambda number, _: ended.append(number))
    threading.Thread(target=lambda: (sys.stdin.read(), ended.append(0)), daemon=True).start()
    transport = service.open_transport(url)
    server = om.get_rpc_server(transport, om.Target(topic=topic, server=name), [Methods(name)], executor="threading")
    server.start()
    wire.event("ready")
    while not ended:
        time.sleep(0.1)
    server.stop()
    server.wait()
    transport.cleanup()
    wire.event("stopped")


if __name__ == "__main__":
    main(*sys.argv[1:])
