"""The blocking transport, which makes clients and servers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from oslorpc import url as urls
from oslorpc.client import Client
from oslorpc.clientcore import MAX_SIZE, Options, TransportCore, new_fleet
from oslorpc.discovery.base import Instance
from oslorpc.interceptor import Interceptor
from oslorpc.link import BlockingLink, Watcher
from oslorpc.target import Target

if TYPE_CHECKING:
    from oslorpc.server import Server


class Transport(TransportCore):
    """Finds other programs, and manages the connections to them.

    Close it at the end. It is a context manager.
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
        super().__init__(settings, caller, exceptions or {}, max_size, token, tokens, interceptors, True)
        self._watcher = Watcher()
        self._fleet, self._pool = new_fleet(self, self._connect)
        self._listen, self._advertise, self._grace = listen, advertise, stop_grace
        self._engine: Any = None

    def _connect(self, addr: str, name: str) -> BlockingLink:
        return BlockingLink(addr, name, self.security, self.caller, self.max_size, self._wake, self._watcher)

    def _wake(self) -> None:
        self._fleet.wake()

    def client(self, target: Target, **options: Any) -> Client:
        """Return a client for a target. It takes the options of Client.prepare()."""
        return Client(self, self._fleet, target, Options()).prepare(**options)

    def server(self, target: Target, endpoints: Sequence[object], **options: Any) -> Server:
        """Return a server, which must be started.

        Its options are the fields of ServerOptions.
        """
        from oslorpc.engine import Engine
        from oslorpc.server import Server

        self.check()
        if self._engine is None:
            self._engine = Engine(self, self._listen, self._advertise, self._grace)
        return Server(self._engine, target, endpoints, **options)

    def instances(self) -> list[Instance]:
        """Read all instances from discovery, without a cache."""
        return self.list_instances()

    def close(self) -> None:
        """Stop the servers, withdraw them from discovery, and close the connections."""
        if self.closed:
            return
        self.check()
        if self._engine is not None:
            self._engine.close()
        self.closed = True
        self._fleet.close()
        self._pool.close()
        self.registry.close()
        self.security.close()

    def __enter__(self) -> Transport:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open(url: str | None = None, *, exchange: str | None = None, zone: str | None = None, **options: Any) -> Transport:
    """Open a transport.

    The URL selects discovery: ``local://``, ``consul://host:8500``, ``gateway://host:8600`` or
    ``static://topic=host:port``. Without a URL, the environment variable OSLORPC_TRANSPORT_URL is
    used, and then ``local://``. ``exchange`` is the exchange of targets that name none. ``zone`` is
    where the program runs, such as an availability zone. The parameter ``zone`` of the URL
    overrides it, and the environment variable OSLORPC_ZONE has the default. Messages for any server
    stay in the zone of their client while a server there can take them.

    The options are: ``caller``, the name that the program gives itself; ``exceptions``, a dict of
    exception classes by name, which arrive at callers as these exceptions; ``max_size``, the
    largest message in bytes; ``listen`` and ``advertise``, the addresses on which servers listen
    and to which others connect; ``stop_grace``, how many seconds a stopping server still accepts
    messages; ``token``, a function that returns the bearer token that clients send, in place of a
    file; ``tokens``, a function with which servers verify callers' tokens: it returns the caller's
    name as ``issuer/subject``, or raises an exception, which is logged, and must not block for
    long; ``interceptors``, code around messages.
    """
    return Transport(urls.parse(url, exchange, zone), **options)
