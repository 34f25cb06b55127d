"""A serving process: the gRPC server, the oslorpc servers, their publication, and their start and
stop.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import grpc
import grpc.aio

from oslorpc import grpcserver
from oslorpc.behalf import Gateways
from oslorpc.clientcore import TransportCore
from oslorpc.connection import SLACK
from oslorpc.discovery.base import Instance, check_host, join_addr, split_addr
from oslorpc.dispatcher import ACTIVE, DRAINING, HELD, STOPPED, STOPPING, Dispatcher
from oslorpc.endpoint import Table, read_endpoint
from oslorpc.errors import Error, invalid
from oslorpc.gate import Gate
from oslorpc.intake import Served
from oslorpc.missed import Reports
from oslorpc.plain import unbound
from oslorpc.service import Services
from oslorpc.target import Target
from oslorpc.token import Verifier

_log = logging.getLogger("oslorpc.server")
_WITHDRAW = 3.0
_CLOSE = 5.0  # seconds that the end of a process waits at most for messages to stop coming
_QUIET, _LOOK = 0.2, 0.02  # seconds without a message that end the wait, and between two checks
_IDLE = "grpc.max_connection_idle_ms"
_OPTIONS = [
    # Clients ping every ten seconds. Without these options, a gRPC server closes such connections
    # after a minute.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    (_IDLE, 15 * 60_000),
    ("grpc.max_concurrent_streams", 1000),
    ("grpc.max_metadata_size", 16 << 10),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),
]


@dataclasses.dataclass(frozen=True)
class ServerOptions:
    """The settings of a server.

    At most ``workers`` messages run at the same time. ``queue`` more may wait, with at most
    ``queue_bytes``. With ``hold``, a server runs nothing after its start until it is released.
    ``missed`` is called with a reason when a sender could not deliver a message: at once, and then
    at most once in 10 seconds. It runs in a thread, or on the event loop if it is ``async``.
    ``ping`` answers oslo.messaging's ping. ``service_versions`` offers typed services, by their
    full names, at earlier versions than their options say, without methods that are newer.
    """

    workers: int = 64
    queue: int = 1000
    queue_bytes: int = 64 << 20
    hold: bool = False
    ping: bool = False
    missed: Callable[[str], Any] | None = None
    service_versions: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def check(self) -> None:
        """Raise an Error for invalid settings."""
        if self.workers < 1 or self.queue < 0 or self.queue_bytes < 0:
            raise invalid("a server needs at least one worker, and a queue that is not negative")


class Run:
    """A server, from its start to its stop.

    Everything but the constructor runs on the event loop.
    """

    def __init__(self, host: Host, target: Target, endpoints: Sequence[object], options: ServerOptions) -> None:
        target.check_server()
        options.check()
        self._host, self._options = host, options
        self.target = target
        self._table = Table([read_endpoint(e) for e in endpoints], options.ping, "failures" in host.hides)
        self._served: Served | None = None
        self._changing = asyncio.Lock()
        self._stopped = asyncio.Event()
        self._stopped.set()
        self._withdrawn = asyncio.Event()

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, Any]) -> None:
        """Offer a typed service from the next start on."""
        from oslorpc.typed.offer import endpoint

        if self._served is not None:
            raise invalid(f"the service {service_name} comes too late: register it before the server starts")
        self._table.add(endpoint(service_name, method_handlers, self._options.service_versions.get(service_name)))

    @property
    def services(self) -> list[str]:
        """The full names of the typed services that it offers."""
        return [e.service for e in self._table.endpoints if e.service]

    @property
    def instance(self) -> Instance | None:
        """The instance, or None if the server does not run."""
        return self._served.instance if self._served is not None else None

    async def start(self) -> Instance:
        """Publish the server, and return when other processes can find it."""
        async with self._changing:
            if self._served is not None:
                return self._served.instance
            o = self._options
            dispatcher = Dispatcher(
                self.target.server or "",
                self._table,
                self._host.core.exceptions.describe,
                o.workers,
                o.queue,
                o.queue_bytes,
            )
            dispatcher.set_phase(HELD if o.hold else ACTIVE)
            self._served = await self._host.add(self.target, dispatcher, o.missed)
            self._stopped.clear()
            try:
                await self._host.announce(listed=self._served.instance)
            except BaseException:
                self._host.remove(self._served)
                self._served = None
                self._stopped.set()
                with contextlib.suppress(Error):
                    await self._host.announce()
                raise
            return self._served.instance

    async def change(self, phase: str) -> None:
        """Hold, release or drain the server, and publish that."""
        async with self._changing:
            if self._served is None or self._served.dispatcher.phase == STOPPING:
                raise invalid(
                    f'server "{self.target.server}" on topic "{self.target.topic}" does not run: start it first'
                )
            if phase == self._served.dispatcher.phase:
                return
            self._served.dispatcher.set_phase(phase)
            state = {HELD: HELD, DRAINING: DRAINING}.get(phase, ACTIVE)
            self._served.instance = dataclasses.replace(self._served.instance, state=state)
            await self._host.announce()

    async def stop(self, timeout: float | None) -> bool:
        """Withdraw the server, accept messages for the grace, then refuse messages and finish the
        accepted ones.

        Returns False if some had to be canceled.
        """
        async with self._changing:
            served = self._served
            if served is None:
                return True
            began = time.monotonic()
            grace = self._host.grace
            await self._host.withdraw(served, min(_WITHDRAW, timeout / 2) if timeout is not None else _WITHDRAW)
            left = None if timeout is None else timeout - (time.monotonic() - began)
            await asyncio.sleep(grace if left is None else max(min(grace, left), 0))
            left = None if timeout is None else max(timeout - (time.monotonic() - began), 0)
            clean = await served.dispatcher.finish(left)
            served.dispatcher.set_phase(STOPPED)
            self._host.remove(served)
            self._served = None
            self._stopped.set()
            return clean

    async def wait(self) -> None:
        """Wait until the server has stopped."""
        await self._stopped.wait()


class Host:
    """The servers of a process. It belongs to one event loop."""

    def __init__(self, core: TransportCore, listen: str, advertise: str, grace: float) -> None:
        self.core, self.grace = core, grace
        self._listen, self._advertise = listen, advertise
        self.boot_id = secrets.token_hex(8)
        self.hides = core.security.trust.hide
        core.points.discreet = "failures" in self.hides
        self.services = Services(core.exchange, self.boot_id, core.max_size, core.points)
        self.services.zone = core.settings.zone
        self.services.silent = "introspection" in self.hides
        self._server: grpc.aio.Server | None = None
        self._addr = ""
        self._count = 0
        self._announced: list[Served] = []
        self._announcing = asyncio.Lock()
        self._opening = asyncio.Lock()
        self.runs: set[Run] = set()

    async def add(self, target: Target, dispatcher: Dispatcher, missed: Callable[[str], Any] | None) -> Served:
        """Add a server, which is ready for messages."""
        async with self._opening:
            if self._server is None:
                await self._open()
        self._count += 1
        instance = Instance(
            f"{self.boot_id}.{self._count}",
            self.boot_id,
            target.exchange or self.core.exchange,
            target.topic or "",
            target.server or "",
            self._addr,
            HELD if dispatcher.phase == HELD else ACTIVE,
            dispatcher.table.implemented,
            self.core.settings.zone,
        )
        served = Served(instance, dispatcher, Reports(missed) if missed is not None else None)
        self.services.servers = [*self.services.servers, served]
        self._announced.append(served)
        await self.services.changed()
        return served

    def remove(self, served: Served) -> None:
        """Remove a server."""
        if served.missed is not None:
            served.missed.end()
        self.services.servers = [s for s in self.services.servers if s is not served]
        self._announced = [s for s in self._announced if s is not served]

    async def announce(self, listed: Instance | None = None) -> None:
        """Publish the servers, and wait until discovery lists the given one."""
        await self.services.changed()
        async with self._announcing:
            instances = [s.instance for s in self._announced]
            await asyncio.to_thread(self.core.registry.publish, instances)
        if listed is not None and not await asyncio.to_thread(self.core.registry.await_listed, [listed], 5.0):
            _log.warning("server %s is registered, and discovery does not list it yet", listed.server)

    async def withdraw(self, served: Served, within: float) -> None:
        """Withdraw a server from discovery.

        If that takes too long, it continues in the background.
        """
        self._announced = [s for s in self._announced if s is not served]
        task = asyncio.ensure_future(self.announce())
        done, _ = await asyncio.wait([task], timeout=within)
        if not done or task.exception() is not None:
            _log.warning(
                "registration of %s was not withdrawn in time; senders learn from the server", served.instance.server
            )

    async def _open(self) -> None:
        address = self._address()
        # The gateway cannot connect to an attached process again, so idle connections stay open.
        options = [o for o in _OPTIONS if not self.core.attaches or o[0] != _IDLE]
        options += [("grpc.max_receive_message_length", self.core.max_size + SLACK)]
        self.services.attached, self.services.secure = self.core.attaches, self.core.security.trust.secure
        if address.startswith("unix:") and not self.services.attached and not self.services.secure:
            self.services.owner = f"user:{os.geteuid()}"
        make = grpcserver.Server if grpcserver.available() else grpc.aio.server
        server: grpc.aio.Server = make(options=options)
        server.add_generic_rpc_handlers((self.services,))
        security = self.core.security
        if security.trust.policy:
            self.services.gate = Gate(security.trust.policy)
        if security.trust.gateways:
            self.services.gateways = Gateways(security.trust.gateways)
        if security.tokens is not None:
            self.services.verifier = Verifier(security.tokens)
        asked = bool(security.trust.policy) or security.tokens is not None
        # Reflection would answer without regard to the policy and tokens.
        if not asked and "reflection" not in self.hides:
            _add_reflection(server, {name for run in self.runs for name in run.services})
        credentials = self.core.security.server(address)
        try:
            if credentials is None:
                port = server.add_insecure_port(_bindable(address))
            else:
                port = server.add_secure_port(_bindable(address), credentials)
        except RuntimeError:
            raise invalid(f"cannot listen on {address}: {unbound(address)}") from None
        await server.start()
        if address.startswith("unix:"):
            os.chmod(address.removeprefix("unix:"), 0o600)
            self._addr = address
        else:
            self._addr = self._advertised(split_host(address)[0], port)
        self._server = server

    async def _quiet(self) -> None:
        """Wait until messages stop coming, so that late ones are refused, not cut off.

        gRPC cancels messages that come after its stop began, and their senders would not know
        whether they ran. If this loop wakes up late, the machine is busy, and messages may be late,
        too. It then waits longer.
        """
        end, late = time.monotonic() + _CLOSE, 0.0
        while (before := time.monotonic()) < end:
            await asyncio.sleep(_LOOK)
            now = time.monotonic()
            late = max(late, now - before - _LOOK)
            if now - self.services.last > max(_QUIET, 10 * late):
                return

    def _address(self) -> str:
        if self.core.attaches:
            if self._listen or self._advertise:
                raise invalid(
                    "a server that is attached to a gateway does not listen: leave listen and advertise out, or open "
                    "a registry in which it can be found"
                )
            return f"unix:{self.core.registry.socket()}"
        if self._listen:
            if self._listen.startswith("unix:"):
                _remove_dead_socket(self._listen.removeprefix("unix:"))
            return self._listen
        path = None if self._advertise or self.core.security.trust.secure else self.core.registry.socket()
        return "127.0.0.1:0" if path is None else "unix:" + path

    def _advertised(self, host: str, port: int) -> str:
        """Return the address to publish."""
        if not self._advertise:
            try:
                check_host(host)
            except ValueError:
                raise invalid(
                    f'"{self._listen}" is every address of this machine: say with advertise which one others connect to'
                ) from None
            return join_addr(host, port)
        if ":" not in self._advertise:
            return join_addr(self._advertise, port)
        try:
            split_addr(self._advertise)
        except ValueError as e:
            raise invalid(f'the address to advertise, "{self._advertise}": {e}') from None
        return self._advertise

    async def close(self, timeout: float | None = 25.0) -> None:
        """Stop all servers. When messages stop coming, stop the gRPC server."""
        await asyncio.gather(*(run.stop(timeout) for run in self.runs))
        if self._server is None:
            return
        await self._quiet()
        await self._server.stop(0.5)
        self._server = None
        if self.services.gate is not None:
            self.services.gate.close()
        if self._addr.startswith("unix:"):
            with contextlib.suppress(OSError):
                os.unlink(self._addr.removeprefix("unix:"))


def split_host(address: str) -> tuple[str, str]:
    """Split an address to listen on into host and port."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit():
        raise invalid(f'the address to listen on, "{address}", is malformed: write "host:port" or "unix:/path"')
    return host.removeprefix("[").removesuffix("]"), port


def _bindable(address: str) -> str:
    if not address.startswith("unix:"):
        split_host(address)
    return address


def _remove_dead_socket(path: str) -> None:
    with contextlib.suppress(FileNotFoundError), socket.socket(socket.AF_UNIX) as s:
        s.settimeout(1)
        try:
            s.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        else:
            raise invalid(f'another process listens on "{path}"')


def _add_reflection(server: Any, typed: Iterable[str]) -> None:
    """Offer reflection of the protocol and of typed services, if the package for it is
    installed.
    """
    try:
        from grpc_reflection.v1alpha import reflection
    except ImportError:
        return
    names = ("oslorpc.v1.RPCService", "oslorpc.v1.IntrospectionService", reflection.SERVICE_NAME, *sorted(typed))
    reflection.enable_server_reflection(names, server)
