"""The server of `make interop`: python server.py URL TOPIC NAME.

It stops at SIGTERM, or when its input ends.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import wire
from ports import EXCEPTIONS, PortNotFound

import oslorpc


class Methods:
    """The methods that the servers of every language have."""

    target = oslorpc.Target(version="1.2")

    def __init__(self, name: str) -> None:
        self.name = name

    def whoami(self, ctxt: oslorpc.RequestContext) -> str:
        """Return the name of the server."""
        return self.name

    def echo(self, ctxt: oslorpc.RequestContext, **kwargs: Any) -> dict[str, Any]:
        """Return the arguments."""
        return kwargs

    def context(self, ctxt: oslorpc.RequestContext) -> dict[str, Any]:
        """Return the request context."""
        return dict(ctxt)

    def add(self, ctxt: oslorpc.RequestContext, a: int, b: int) -> int:
        """Return a sum."""
        return a + b

    def blob(self, ctxt: oslorpc.RequestContext, size: int) -> str:
        """Return a long text."""
        return "x" * size

    def fail(self, ctxt: oslorpc.RequestContext, message: str) -> None:
        """Fail."""
        raise ValueError(message)

    def missing(self, ctxt: oslorpc.RequestContext, port: int) -> None:
        """Fail with an exception whose class is registered."""
        raise PortNotFound(port)

    def note(self, ctxt: oslorpc.RequestContext, note: str, seconds: float) -> str:
        """Report the call, and return the name of the server after ``seconds``."""
        wire.event("ran", note)
        ctxt.wait_canceled(seconds)
        return self.name

    def sleep(self, ctxt: oslorpc.RequestContext, note: str, seconds: float) -> str:
        """Sleep, and report if it is canceled.

        After a cancellation, it waits half a second, so that its answer does not arrive before the
        caller gives up.
        """
        wire.event("began", note)
        if ctxt.wait_canceled(seconds):
            wire.event("canceled", note)
            time.sleep(0.5)
            raise TimeoutError("canceled")
        return "slept"

    def count(self, ctxt: oslorpc.RequestContext, n: int) -> Iterator[int]:
        """Yield the numbers up to n."""
        yield from range(1, n + 1)

    def ticks(self, ctxt: oslorpc.RequestContext, note: str) -> Iterator[int]:
        """Yield numbers until the caller cancels."""
        wire.event("began", note)
        n = 0
        try:
            while not ctxt.wait_canceled(0.02):
                yield n
                n += 1
        finally:
            wire.event("canceled", note)


def end_with_input() -> None:
    """Stop the server when its input ends, because then the runner has ended."""
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


def main(url: str, topic: str, name: str) -> None:
    """Serve until SIGTERM."""
    threading.Thread(target=end_with_input, daemon=True).start()
    with oslorpc.open(url, exceptions=EXCEPTIONS, caller="interop-python") as transport:
        server = transport.server(oslorpc.Target(topic=topic, server=name), [Methods(name)])
        server.run(lambda _: wire.event("ready"))
    wire.event("stopped")


if __name__ == "__main__":
    main(*sys.argv[1:])
