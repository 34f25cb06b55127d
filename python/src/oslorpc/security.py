"""The credentials of both ends of connections, from files that are read again when they change."""

from __future__ import annotations

import dataclasses
import ipaddress
import logging
import ssl
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio

from oslorpc import token as tokenfile
from oslorpc.diagnosis import Verdict, diagnose
from oslorpc.discovery.base import Instance, Loop, split_addr
from oslorpc.errors import Error, invalid
from oslorpc.identity import Template
from oslorpc.token import Verify
from oslorpc.trust import Trust

_log = logging.getLogger("oslorpc.trust")
_EVERY = 1.0


@dataclasses.dataclass(frozen=True, slots=True)
class Material:
    """The contents of the files."""

    ca: bytes | None = None
    cert: bytes | None = None
    key: bytes | None = None


class Security:
    """The credentials of a transport's connections. May be used from any thread."""

    def __init__(self, trust: Trust, token: Callable[[], str] | None, tokens: Verify | None) -> None:
        self.trust = trust
        self.tokens = tokens  # verifies tokens of callers
        self._ask = token
        self._token = tokenfile.read(trust.token_file) if trust.token_file else ""
        self.template = Template(trust.identity) if trust.identity else None
        if self.template is not None and not trust.secure:
            raise invalid("identity: servers prove names by TLS: give ca")
        if self.template is not None and trust.server_name:
            raise invalid("identity and server-name both say which name a server must prove: leave server-name out")
        self.material = self._read()
        self._problem = ""
        self._listeners: list[Callable[[], object]] = []
        self._watch = Loop("oslorpc-files", self._look) if trust.secure or trust.token_file else None

    def _read(self) -> Material:
        """Read the files, and check that they are usable."""
        t = self.trust
        material = Material(_content("ca", t.ca), _content("cert", t.cert), _content("key", t.key))
        if t.secure:
            self._context(material)
        return material

    def _context(self, m: Material) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.set_alpn_protocols(["h2"])
        try:
            if m.ca is None:
                context.load_default_certs()
            else:
                context.load_verify_locations(cadata=m.ca.decode("ascii", "replace"))
        except (ssl.SSLError, ValueError):
            raise invalid(f"ca: {self.trust.ca} has no certificates in PEM form") from None
        if m.cert is not None:
            try:
                context.load_cert_chain(self.trust.cert, self.trust.key, password=lambda: "")
            except (ssl.SSLError, OSError, ValueError) as e:
                raise invalid(
                    f"cert and key: {self.trust.cert} and {self.trust.key} cannot be used: they must be in PEM form, "
                    f"belong together, and the key must not be encrypted ({e})"
                ) from None
        return context

    def _look(self) -> float:
        try:
            if self.trust.token_file:
                self._token = tokenfile.read(self.trust.token_file)
            found = self._read()
        except Error as e:
            if e.message != self._problem:
                _log.error(
                    "the files for TLS or the token cannot be used, so their previous contents stay in use: %s",
                    e.message,
                )
            self._problem = e.message
            return _EVERY
        self._problem = ""
        if found != self.material:
            self.material = found
            _log.info("TLS files read")
            for listener in list(self._listeners):
                listener()
        return _EVERY

    def listen(self, listener: Callable[[], object]) -> None:
        """Register a listener, which is called in a thread when files have changed."""
        self._listeners.append(listener)

    def headers(self) -> tuple[tuple[str, str], ...] | None:
        """Return the headers of RPCs, with the token if there is one."""
        if self._ask is not None:
            return (("authorization", "Bearer " + tokenfile.checked(self._ask(), "token")),)
        return (("authorization", "Bearer " + self._token),) if self._token else None

    def exposes(self, addr: str) -> bool:
        """Whether the token would be sent to an address in plaintext."""
        return (self._ask is not None or bool(self._token)) and not self.trust.secure and not addr.startswith("unix:")

    def close(self) -> None:
        """Stop watching the files."""
        if self._watch is not None:
            self._watch.end()

    def name_of(self, i: Instance) -> str:
        """Return the name that an instance must prove besides its address, or an empty string.

        A ValueError says why no certificate can prove it.
        """
        return self.template.name(i.exchange, i.topic, i.server) if self.template is not None else ""

    def diagnose(self, addr: str, name: str) -> Verdict:
        """Check whether this client and an address trust each other.

        If there is a name, the address must prove it.
        """
        if not self.trust.secure:
            return diagnose(addr, None, "", False, False)
        m = self.material
        try:
            context = self._context(m)
        except Error as e:
            return Verdict(e.message)
        found = diagnose(addr, context, name or self._host(addr), bool(name), m.cert is not None)
        if name and found.certificate and not found.host:
            return Verdict(f"proved {name}, and its certificate has no DNS name, which gRPC for Python needs beside it")
        return found

    def _host(self, addr: str) -> str:
        host = "localhost" if addr.startswith("unix:") else self.trust.server_name or split_addr(addr)[0]
        try:
            return "ip:" + str(ipaddress.ip_address(host))
        except ValueError:
            return "dns:" + host.lower()

    def channel(self, addr: str, options: list[tuple[str, Any]], pin: Verdict | None) -> grpc.Channel:
        """Return a channel of the blocking API.

        With a pin, the server must have this certificate.
        """
        if not self.trust.secure:
            self.trust.check_plaintext(addr)
            return grpc.insecure_channel(_target(addr), options)
        return grpc.secure_channel(_target(addr), self._client(pin), _named(options, pin))

    def aio_channel(self, addr: str, options: list[tuple[str, Any]], pin: Verdict | None) -> grpc.aio.Channel:
        """Return a channel of the asyncio API.

        With a pin, the server must have this certificate.
        """
        if not self.trust.secure:
            self.trust.check_plaintext(addr)
            return grpc.aio.insecure_channel(_target(addr), options)
        return grpc.aio.secure_channel(_target(addr), self._client(pin), _named(options, pin))

    def _client(self, pin: Verdict | None) -> grpc.ChannelCredentials:
        m = self.material
        return grpc.ssl_channel_credentials(pin.certificate if pin is not None else m.ca, m.key, m.cert)

    def server(self, addr: str) -> grpc.ServerCredentials | None:
        """Return the credentials of a server, or None for plaintext. They are updated when the
        files change.

        With a CA, clients must have a certificate. If tokens are verified, they must have a token
        instead, since gRPC for Python cannot request a certificate without requiring it.
        """
        if not self.trust.secure:
            if self.tokens is not None and not addr.startswith("unix:"):
                raise invalid("a server that verifies tokens needs TLS, or a Unix socket: give cert and key")
            self.trust.check_plaintext(addr)
            return None
        if not self.trust.cert:
            raise invalid("a server with TLS needs a certificate: give cert and key beside ca")
        used: list[Material] = [self.material]

        def changed() -> Any:
            if used[0] is self.material:
                return None  # keep the previous one
            used[0] = self.material
            return _configuration(used[0])

        return grpc.dynamic_ssl_server_credentials(
            _configuration(used[0]), changed, require_client_authentication=bool(self.trust.ca) and self.tokens is None
        )


def _configuration(m: Material) -> Any:
    return grpc.ssl_server_certificate_configuration([(m.key or b"", m.cert or b"")], m.ca)


def _content(name: str, path: str) -> bytes | None:
    if not path:
        return None
    try:
        with open(path, "rb") as f:
            return f.read()
    except OSError as e:
        raise invalid(f"{name}: {e}") from None


def _named(options: list[tuple[str, Any]], pin: Verdict | None) -> list[tuple[str, Any]]:
    """Make gRPC expect a host of the pinned certificate, whose name was verified already."""
    if pin is None:
        return options
    others = [o for o in options if o[0] != "grpc.ssl_target_name_override"]
    return [*others, ("grpc.ssl_target_name_override", pin.host)]


def _target(addr: str) -> str:
    """Return an address in gRPC's format."""
    if addr.startswith("unix:"):
        return addr
    host, port = split_addr(addr)
    try:
        v6 = ipaddress.ip_address(host).version == 6
    except ValueError:
        return f"dns:///{host}:{port}"
    return f"ipv6:[{host}]:{port}" if v6 else f"ipv4:{host}:{port}"
