"""What a transport trusts, and how it proves its identity: PEM files, named by the URL or the environment."""

from __future__ import annotations

import dataclasses
import ipaddress
import os
from typing import Any

import grpc
import grpc.aio

from oslorpc.discovery.base import split_addr
from oslorpc.errors import invalid

PARAMETERS = ("ca", "cert", "key", "server-name", "insecure")


@dataclasses.dataclass(frozen=True)
class Trust:
    """Paths of PEM files, and the name that the certificates of servers must have.

    Without files, connections are in clear, and only within the machine unless ``insecure`` is set.
    The files are read for each new connection, and by servers when they start.
    """

    ca: str = ""
    cert: str = ""
    key: str = ""
    server_name: str = ""
    insecure: bool = False

    @classmethod
    def read(cls, parameters: dict[str, str]) -> Trust:
        """Return what a URL says, completed by the environment.

        A certificate and its key come from one place.
        """
        pair = ("cert", "key")
        url_has_pair = any(parameters.get(name) for name in pair)
        values = {}
        for name in PARAMETERS:
            value = parameters.get(name, "")
            if not value and not (name in pair and url_has_pair):
                value = os.environ.get("OSLORPC_" + name.upper().replace("-", "_"), "").strip()
            values[name.replace("-", "_")] = value
        for name in ("OSLORPC_IDENTITY", "OSLORPC_TOKEN_FILE"):
            if os.environ.get(name, "").strip():
                raise invalid(f"{name} is set, and the Python package cannot do what it asks for: unset it")
        insecure = values.pop("insecure")
        if insecure not in ("", "true", "false"):
            raise invalid(f'"insecure" is {insecure!r}: write true or false')
        if bool(values["cert"]) != bool(values["key"]):
            raise invalid("a certificate needs its key: give both cert and key, or none")
        return cls(**values, insecure=insecure == "true")

    @property
    def secure(self) -> bool:
        """Whether connections use TLS."""
        return bool(self.ca or self.cert)

    def channel(self, addr: str, options: list[tuple[str, Any]]) -> grpc.Channel:
        """Return a channel of the blocking API."""
        if not self.secure:
            self._check_plaintext(addr)
            return grpc.insecure_channel(_target(addr), options)
        return grpc.secure_channel(_target(addr), self._client(), options)

    def aio_channel(self, addr: str, options: list[tuple[str, Any]]) -> grpc.aio.Channel:
        """Return a channel of the asyncio API."""
        if not self.secure:
            self._check_plaintext(addr)
            return grpc.aio.insecure_channel(_target(addr), options)
        return grpc.aio.secure_channel(_target(addr), self._client(), options)

    def _client(self) -> grpc.ChannelCredentials:
        return grpc.ssl_channel_credentials(self._file("ca"), self._file("key"), self._file("cert"))

    def server(self, addr: str) -> grpc.ServerCredentials | None:
        """Return the credentials of a server; None for none.

        With a CA, clients must have a certificate.
        """
        if not self.secure:
            self._check_plaintext(addr)
            return None
        if not self.cert:
            raise invalid("a server with TLS needs a certificate: give cert and key beside ca")
        pair = (self._file("key") or b"", self._file("cert") or b"")
        ca = self._file("ca")
        return grpc.ssl_server_credentials([pair], ca, require_client_auth=ca is not None)

    def _file(self, name: str) -> bytes | None:
        path = getattr(self, name)
        if not path:
            return None
        try:
            with open(path, "rb") as f:
                return f.read()
        except OSError as e:
            raise invalid(f"{name}: {e}") from None

    def _check_plaintext(self, addr: str) -> None:
        if self.insecure or addr.startswith("unix:"):
            return
        host = addr.rpartition(":")[0].removeprefix("[").removesuffix("]")
        try:
            loopback = ipaddress.ip_address(host).is_loopback
        except ValueError:
            loopback = host == "localhost"
        if not loopback:
            raise invalid(
                f"{addr} is another machine, or can be reached from one, and there is no TLS: give ca, cert and key "
                "in the transport URL, or allow plaintext with insecure=true"
            )


def _target(addr: str) -> str:
    """Return an address as gRPC takes it."""
    if addr.startswith("unix:"):
        return addr
    host, port = split_addr(addr)
    try:
        v6 = ipaddress.ip_address(host).version == 6
    except ValueError:
        return f"dns:///{host}:{port}"
    return f"ipv6:[{host}]:{port}" if v6 else f"ipv4:{host}:{port}"
