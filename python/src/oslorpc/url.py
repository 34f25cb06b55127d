"""Transport URLs, which select discovery. docs/discovery.md has the grammar."""

from __future__ import annotations

import dataclasses
import os
import urllib.parse
from typing import TYPE_CHECKING

from oslorpc.discovery.base import Registry
from oslorpc.errors import Error, invalid
from oslorpc.target import DEFAULT_EXCHANGE, Target, check_zone
from oslorpc.trust import PARAMETERS as TRUST
from oslorpc.trust import Trust

if TYPE_CHECKING:
    from oslorpc.security import Security

# The schemes of message brokers in OpenStack's configuration.
_BROKERS = ("amqp", "amqps", "kafka", "kombu", "nats", "rabbit", "zmq")
_CONSUL = (
    "dc",
    "ttl",
    "consul-token-file",
    "consul-tls",
    "consul-ca",
    "consul-cert",
    "consul-key",
    "consul-server-name",
    "consul-insecure",
)


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings of a transport URL and the environment."""

    scheme: str
    rest: str
    exchange: str
    zone: str
    parameters: dict[str, str]
    trust: Trust

    def open_registry(self, security: Security, caller: str, limit: int) -> Registry:
        """Open the registry that the URL names."""
        if self.scheme == "gateway":
            from oslorpc.discovery.gateway import GatewayRegistry

            return GatewayRegistry(self.rest, self.exchange, security, caller, limit)
        if self.scheme == "static":
            from oslorpc.discovery.static import StaticRegistry

            return StaticRegistry(self.rest, self.exchange)
        if self.scheme == "local":
            from oslorpc.discovery.local import LocalRegistry

            return LocalRegistry(_directory(self.rest))
        from oslorpc.discovery.consul import ConsulRegistry

        return ConsulRegistry(self.rest, self.parameters)


def parse(text: str | None, exchange: str | None = None, zone: str | None = None) -> Settings:
    """Parse a transport URL. If it is empty, parse the environment's, or local://."""
    text = (text or "").strip() or os.environ.get("OSLORPC_TRANSPORT_URL", "").strip() or "local://"
    scheme, found, after = text.partition("://")
    if not found:
        raise invalid(
            f'transport URL "{text}" has no scheme: write local://, consul://host:8500, gateway://host:port or static://topic=host:port'
        )
    scheme = scheme.lower()
    if scheme not in ("static", "local", "consul", "gateway"):
        why = f'transport URL has the unknown scheme "{scheme}": '
        if scheme.partition("+")[0] in _BROKERS:
            why += f"there is no broker; write consul://host:8500 where {scheme}:// was; "
        raise invalid(why + "known are local, consul, gateway and static")
    rest, _, query = after.partition("?")
    if "@" in rest and scheme != "static":
        raise invalid("transport URL has an @: there are no user names and passwords in it")
    if "#" in after:
        raise invalid("transport URL has a #: write %23 for one within a name")
    parameters = _parameters(query, ("exchange", "zone", *TRUST, *(_CONSUL if scheme == "consul" else ())))
    chosen = (
        parameters.pop("exchange", "") or exchange or os.environ.get("OSLORPC_EXCHANGE", "").strip() or DEFAULT_EXCHANGE
    )
    try:
        Target(exchange=chosen).check()
    except Error as e:
        raise invalid(f"default exchange: {e.message}") from None
    place = parameters.pop("zone", "") or zone or os.environ.get("OSLORPC_ZONE", "").strip()
    check_zone(place)
    return Settings(scheme, rest, chosen, place, parameters, Trust.read(parameters))


# Parameters of Go programs, and what to do instead in Python.
_ONLY_GO = dict.fromkeys(
    ("connect", "service"),
    "use certificates (ca, cert, key), or a gateway or a proxy of the mesh beside this program; see docs/mesh.md",
)


def _parameters(query: str, known: tuple[str, ...]) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for pair in query.split("&") if query else ():
        name, _, value = pair.partition("=")
        if name in _ONLY_GO:
            raise invalid(
                f'transport URL has the parameter "{name}", which only programs in Go understand: {_ONLY_GO[name]}'
            )
        if name not in known:
            raise invalid(f'transport URL has the unknown parameter "{name}": there are {", ".join(sorted(known))}')
        if name in parameters or not value:
            raise invalid(f'transport URL: parameter "{name}" must be given once, with a value')
        try:
            parameters[name] = urllib.parse.unquote_plus(value, errors="strict")
        except UnicodeDecodeError:
            raise invalid(f'transport URL: parameter "{name}" is not UTF-8') from None
    return parameters


def _directory(rest: str) -> str | None:
    path = urllib.parse.unquote(rest)
    if path and not path.startswith("/"):
        raise invalid(
            f'transport URL "local://{rest}": a directory is absolute: write local:///{path} with three slashes'
        )
    return os.path.normpath(path) if path else None
