"""The event loop of a program with the blocking API.

Its servers run there, in a separate thread.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from oslorpc.clientcore import TransportCore
from oslorpc.errors import invalid
from oslorpc.host import Host

T = TypeVar("T")


class Engine:
    """A thread with an event loop, and the host of the servers on it."""

    def __init__(self, core: TransportCore, listen: str, advertise: str, grace: float) -> None:
        self.core = core
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="oslorpc-server", daemon=True)
        self._thread.start()
        self.host: Host = self.run(self._open(listen, advertise, grace))

    async def _open(self, listen: str, advertise: str, grace: float) -> Host:
        return Host(self.core, listen, advertise, grace)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop, and wait for it."""
        if threading.current_thread() is self._thread:
            work.close()
            raise invalid("an async method cannot wait for its own server: use the asyncio API")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        """Stop all servers, and the loop."""
        self.run(self.host.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
