"""The asyncio transport and its servers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from oslorpc import url as urls
from oslorpc.aio.client import Client
from oslorpc.aio.link import AioLink
from oslorpc.clientcore import MAX_SIZE, Options, TransportCore, new_fleet
from oslorpc.discovery.base import Instance
from oslorpc.dispatcher import ACTIVE, DRAINING
from oslorpc.errors import Error, Kind
from oslorpc.host import Host, Run, ServerOptions
from oslorpc.interceptor import Interceptor
from oslorpc.target import Target


class Transport(TransportCore):
    """Finds other programs, and manages the connections to them.

    It belongs to the event loop on which it was opened.
    """

    def __init__(
        self,
        settings: urls.Settings,
        *,
        caller: str = "",
        exceptions: Mapping[str, type[BaseException]] | None = None,
        max_size: int = MAX_SIZE,
        listen: str = "",
        advertise: str = "",
        stop_grace: float = 0.5,
        token: Callable[[], str] | None = None,
        tokens: Callable[[str], str] | None = None,
        interceptors: Sequence[Interceptor] = (),
    ) -> None:
        self._loop = asyncio.get_running_loop()
        super().__init__(settings, caller, exceptions or {}, max_size, token, tokens, interceptors, False)
        self._fleet, self._pool = new_fleet(self, self._connect)
        self._host = Host(self, listen, advertise, stop_grace)

    def _connect(self, addr: str, name: str) -> AioLink:
        return AioLink(addr, name, self.security, self.caller, self.max_size, self._loop, self._wake)

    def _wake(self) -> None:
        self._fleet.wake()

    def client(self, target: Target, **options: Any) -> Client:
        """Return a client for a target. It takes the options of Client.prepare()."""
        return Client(self, self._fleet, target, Options()).prepare(**options)

    def server(self, target: Target, endpoints: Sequence[object], **options: Any) -> Server:
        """Return a server, which must be started.

        Its options are the fields of ServerOptions.
        """
        self.check()
        return Server(self, self._host, target, endpoints, ServerOptions(**options))

    async def instances(self) -> list[Instance]:
        """Read all instances from discovery, without a cache."""
        return await asyncio.to_thread(self.list_instances)

    async def close(self) -> None:
        """Stop the servers, withdraw them from discovery, and close the connections."""
        if self.closed:
            return
        self.check()
        await self._host.close()
        self.closed = True
        links = [link for link in self._pool.all() if isinstance(link, AioLink)]
        await asyncio.gather(*(link.shut() for link in links))
        await asyncio.to_thread(self._fleet.close)
        await asyncio.to_thread(self.registry.close)
        self.security.close()

    async def __aenter__(self) -> Transport:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class Server:
    """Runs the methods of its endpoints for messages: ``async`` methods on the event loop, and
    others in threads.
    """

    def __init__(
        self, core: Transport, host: Host, target: Target, endpoints: Sequence[object], options: ServerOptions
    ) -> None:
        self._core = core
        self._run = Run(host, target, endpoints, options)
        host.runs.add(self._run)

    def add_generic_rpc_handlers(self, generic_rpc_handlers: object) -> None:
        """Do nothing.

        Generated code calls this and add_registered_method_handlers(); only the latter is needed.
        """

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, Any]) -> None:
        """Offer a typed service from the next start on. add_NAMEServicer_to_server(servicer,
        server) calls this.
        """
        self._run.add_registered_method_handlers(service_name, method_handlers)

    async def start(self) -> Instance:
        """Publish the server, and return when other processes can find it.

        Does nothing if the server runs already.
        """
        self._core.check()
        return await self._run.start()

    async def release(self) -> None:
        """End a hold: queued messages begin to run."""
        await self._run.change(ACTIVE)

    async def drain(self) -> None:
        """Accept only messages that name the server."""
        await self._run.change(DRAINING)

    async def resume(self) -> None:
        """End drain(): accept messages for any server again."""
        await self._run.change(ACTIVE)

    async def stop(self, timeout: float | None = None) -> None:
        """Withdraw the server, finish the accepted messages, and return.

        After the timeout, running methods are canceled, and an Error of kind Timeout is raised.
        """
        if not await self._run.stop(timeout):
            raise Error(Kind.TIMEOUT, f'server "{self._run.target.server}" was stopped by force')

    async def wait(self) -> None:
        """Wait until the server has stopped."""
        await self._run.wait()


def open(url: str | None = None, *, exchange: str | None = None, zone: str | None = None, **options: Any) -> Transport:
    """Open a transport on the running event loop. Takes the arguments of oslorpc.open()."""
    return Transport(urls.parse(url, exchange, zone), **options)
