"""Why the ends of a connection do not trust each other.

gRPC does not report the reason, so this module tries a TLS handshake with the standard library. It
also compares the names in the certificate; gRPC compares only hosts.
"""

from __future__ import annotations

import dataclasses
import socket
import ssl
from typing import Any

from oslorpc.discovery.base import split_addr
from oslorpc.identity import mismatch, names_of
from oslorpc.plain import HANGS, reason

_TIMEOUT = 3.0
_EXPIRED, _TOO_EARLY = 10, 9
_NO_TLS = (
    "WRONG_VERSION_NUMBER",
    "RECORD_LAYER_FAILURE",
    "PACKET_LENGTH_TOO_LONG",
    "HTTP_REQUEST",
    "UNEXPECTED_MESSAGE",
)
_REFUSALS = (
    "CERTIFICATE_REQUIRED", "HANDSHAKE_FAILURE", "UNKNOWN_CA", "BAD_CERTIFICATE", "CERTIFICATE_UNKNOWN",
    "CERTIFICATE_EXPIRED", "ALERT_ACCESS_DENIED",
)  # fmt: skip
_OTHER = "answers with something other than gRPC; another program may have the address"
_NEEDS_TLS = "requires TLS, and this client connects in plaintext: give ca in the transport URL"


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a handshake.

    ``distrust`` says why the ends do not trust each other; it is empty if they do, or if the reason
    is not known. ``trouble`` says why connecting failed, or is empty. After success,
    ``certificate`` is the server's certificate in PEM form, and ``host`` is a host that it names.
    """

    distrust: str = ""
    trouble: str = ""
    certificate: bytes = b""
    host: str = ""


def diagnose(addr: str, context: ssl.SSLContext | None, want: str, exact: bool, has_certificate: bool) -> Verdict:
    """Try to connect to an address.

    ``want`` is the name that the certificate must have, as ``dns:host``, ``ip:address`` or a URI;
    wildcards count unless it is ``exact``. Without a context, the client connects in plaintext.
    """
    plain = context is None
    connected = False
    used = context if context is not None else _trusting()
    try:
        with _connected(addr) as raw:
            connected = True
            with used.wrap_socket(raw, server_hostname="localhost") as s:
                return Verdict(_NEEDS_TLS) if plain else _meet(s, want, exact, has_certificate)
    except ssl.SSLCertVerificationError as e:
        return Verdict(_of_certificate(e))
    except ssl.SSLError as e:
        distrust = _of_alert(str(e.reason or e), plain, has_certificate)
        return Verdict(distrust, _OTHER if plain and not distrust else "")
    except (OSError, ValueError) as e:
        return Verdict(trouble=_trouble(e, connected))


def _meet(s: ssl.SSLSocket, want: str, exact: bool, has_certificate: bool) -> Verdict:
    """Check the server's name after a handshake, and whether the server accepts this client."""
    certificate = s.getpeercert() or {}
    names = _names(certificate)
    if exact and (why := mismatch(want, names)):
        return Verdict(why)
    if not exact and not any(_covers(name, want) for name in names):
        return Verdict(f"has a certificate for {', '.join(names) or 'no name'}, and {want} is expected")
    s.settimeout(1.0)
    # With TLS 1.3, a server refuses a client only after the handshake. A gRPC server in Python or
    # C++ closes the connection without an alert.
    if not s.recv(1):
        return Verdict(_refused(has_certificate))
    pem = ssl.DER_cert_to_PEM_cert(s.getpeercert(True) or b"").encode()
    return Verdict(certificate=pem, host=_host(certificate))


def _trouble(e: Exception, connected: bool) -> str:
    """Return why connecting to an address failed, as the end of a sentence."""
    if isinstance(e, TimeoutError):
        return HANGS if connected else "does not answer; its host may be down, or the network may not reach it"
    if connected:
        return "closes connections before it speaks gRPC; if it requires TLS, check ca"
    if isinstance(e, ConnectionRefusedError | FileNotFoundError):
        return "cannot be reached: nothing listens there; its process is probably dead"
    return f"cannot be connected to: {reason(e)}"


def _of_certificate(e: ssl.SSLCertVerificationError) -> str:
    if e.verify_code == _EXPIRED:
        return "has a certificate that expired: renew it, or set this machine's clock"
    if e.verify_code == _TOO_EARLY:
        return "has a certificate that is not valid yet: set this machine's clock, or the server's"
    return f"has a certificate that no trusted authority signed: look at the client's ca ({e.verify_message})"


def _of_alert(reason: str, plain: bool, has_certificate: bool) -> str:
    reason = reason.upper().replace(" ", "_")
    if any(word in reason for word in _NO_TLS):
        return "" if plain else "does not speak TLS, and this client requires it: give the server cert and key"
    if plain:
        return _NEEDS_TLS
    return _refused(has_certificate) if any(word in reason for word in _REFUSALS) else ""


def _refused(has_certificate: bool) -> str:
    if not has_certificate:
        return "requires a certificate of its clients, and this client has none: give cert and key"
    return (
        "does not trust the authority that signed the certificate of this client: look at the client's cert, "
        "and the server's ca"
    )


def _trusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context


def _covers(name: str, want: str) -> bool:
    name = name.lower()
    wildcard = name.startswith("dns:*.") and want.startswith("dns:")
    return name == want or (wildcard and name[5:] == want[want.find(".") :])


def _connected(addr: str) -> socket.socket:
    if not addr.startswith("unix:"):
        return socket.create_connection(split_addr(addr), _TIMEOUT)
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(_TIMEOUT)
    try:
        s.connect(addr.removeprefix("unix:"))
    except BaseException:
        s.close()
        raise
    return s


def _host(certificate: dict[str, Any]) -> str:
    """Return a host that gRPC finds in a certificate, or an empty string."""
    names = [value for kind, value in certificate.get("subjectAltName", ()) if kind in ("DNS", "IP Address")]
    subject = [value for part in certificate.get("subject", ()) for kind, value in part if kind == "commonName"]
    return next((name.replace("*", "any", 1) for name in (*names, *subject)), "")


def _names(certificate: dict[str, Any]) -> tuple[str, ...]:
    found: dict[str, list[str]] = {"URI": [], "DNS": [], "IP Address": []}
    for kind, value in certificate.get("subjectAltName", ()):
        if kind in found:
            found[kind].append(value)
    return names_of(found["URI"], found["DNS"], found["IP Address"])
