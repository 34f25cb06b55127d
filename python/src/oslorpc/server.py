"""The blocking server."""

from __future__ import annotations

import contextlib
import queue
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from oslorpc.discovery.base import Instance
from oslorpc.dispatcher import ACTIVE, DRAINING
from oslorpc.engine import Engine
from oslorpc.errors import Error, Kind
from oslorpc.host import Run, ServerOptions
from oslorpc.target import Target


class Server:
    """Runs the methods of its endpoints for messages. May be used from any thread.

    An endpoint is an object. Its public methods take the request context first, and then keyword
    arguments. Its attribute ``target`` has the namespace and the version. Methods run in threads;
    ``async`` methods run on the event loop of the servers.
    """

    def __init__(self, engine: Engine, target: Target, endpoints: Sequence[object], **options: Any) -> None:
        self._engine = engine
        self._run = engine.run(self._make(target, endpoints, ServerOptions(**options)))

    async def _make(self, target: Target, endpoints: Sequence[object], options: ServerOptions) -> Run:
        run = Run(self._engine.host, target, endpoints, options)
        self._engine.host.runs.add(run)
        return run

    def add_generic_rpc_handlers(self, generic_rpc_handlers: object) -> None:
        """Do nothing.

        Generated code calls this and add_registered_method_handlers(); only the latter is needed.
        """

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, Any]) -> None:
        """Offer a typed service from the next start on. add_NAMEServicer_to_server(servicer,
        server) calls this.
        """
        self._engine.run(self._offer(service_name, method_handlers))

    async def _offer(self, service_name: str, method_handlers: Mapping[str, Any]) -> None:
        self._run.add_registered_method_handlers(service_name, method_handlers)

    def start(self) -> Instance:
        """Publish the server, and return when other processes can find it.

        Does nothing if the server runs already.
        """
        self._engine.core.check()
        return self._engine.run(self._run.start())

    def release(self) -> None:
        """End a hold: queued messages begin to run."""
        self._engine.run(self._run.change(ACTIVE))

    def drain(self) -> None:
        """Accept only messages that name the server."""
        self._engine.run(self._run.change(DRAINING))

    def resume(self) -> None:
        """End drain(): accept messages for any server again."""
        self._engine.run(self._run.change(ACTIVE))

    def stop(self, timeout: float | None = None) -> None:
        """Withdraw the server, finish the accepted messages, and return.

        After the timeout, running methods are canceled, and an Error of kind Timeout is raised.
        """
        if not self._engine.run(self._run.stop(timeout)):
            raise Error(Kind.TIMEOUT, f'server "{self._run.target.server}" was stopped by force')

    def wait(self) -> None:
        """Wait until the server has stopped."""
        self._engine.run(self._run.wait())

    def run(self, started: Callable[[Instance], None] | None = None, timeout: float = 25.0) -> None:
        """Start the server, and stop it at SIGINT or SIGTERM. A second signal ends the program.

        Call it in the main thread.
        """
        # A signal handler may interrupt code that holds the lock of a threading.Event. If the
        # handler used that lock, it would wait forever.
        ending: queue.SimpleQueue[int] = queue.SimpleQueue()

        def end(number: int, frame: object) -> None:
            signal.signal(number, before[signal.Signals(number)])
            ending.put(number)

        before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            instance = self.start()
            if started is not None:
                started(instance)
            while self._run.instance is not None:
                with contextlib.suppress(queue.Empty):
                    ending.get(timeout=0.5)
                    self.stop(timeout)
                    return
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
