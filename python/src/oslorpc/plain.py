"""Translates gRPC's and the system's error texts about connections to plain words."""

from __future__ import annotations

import errno
import http.client
import os
import re
import socket
import ssl

from oslorpc.discovery.base import split_addr
from oslorpc.errors import Error

_AROUND = re.compile(
    r"failed to connect to all addresses; last error: (?:[A-Z_]+: )?(?:(?:ipv4|ipv6|unix):\S+: )?(.*)", re.S
)
HANGS = "accepts connections but sends nothing; its process may be hung"
_TO = r"Failed to connect to remote host: "
_LOST = r"Socket closed|Endpoint closing|Connection closed|End of TCP stream|Transport closed|recvmsg: ?Socket closed"
_SILENT = r".*(?:[Kk]eepalive watchdog timeout|[Pp]ing timeout|too_many_pings).*"
_HANDSHAKE = r"Ssl handshake failed.*: (?:SSL_ERROR_SSL: )?(?:error:\w+:)?(?:SSL routines:)?(?:OPENSSL_internal:)?(.*)"
_PHRASES = {
    _TO + r"(?:connect: )?Connection refused.*": "nothing listens there",
    _TO + r".*No such file or directory.*": "nothing listens there",
    rf"(?:{_TO})?(?:Timeout occurred|Connection timed out|FD Shutdown).*": "nothing answers there",
    _TO + "(.*)": "it cannot be connected to: ",
    r"connection attempt timed out before receiving SETTINGS frame": ("it " + HANGS),
    r"Failed parsing HTTP/2.*": "it answers with something other than gRPC; another program may have the address",
    _HANDSHAKE: "the TLS handshake failed: ",
    r"DNS resolution failed for (\S+): .*": "DNS has no address for ",
    _LOST: "the server closed the connection, or died",
    r".*Connection reset by peer.*": "the server, or something on the way to it, reset the connection",
    _SILENT: "the server answers nothing; it may hang, or the network does not reach it",
    r"Received RST_STREAM with error code (\w+)": (
        "the server, or a proxy before it, reset the stream with the HTTP/2 code "
    ),
    r"Received http2 header with status: (\d+)": (
        "something that is not gRPC, such as a proxy, answered with the HTTP status "
    ),
}


def plain(text: str) -> str:
    """Translate a text of gRPC about a connection or a stream. Return any other text unchanged."""
    around = _AROUND.fullmatch(text)
    inner = around[1] if around else text
    for pattern, words in _PHRASES.items():
        if match := re.fullmatch(pattern, inner, re.S):
            return words + "".join(match.groups())
    return inner


_ADVICE = {
    errno.EADDRINUSE: ": stop the program that has it, or listen elsewhere; port 0 is any that is free",
    errno.EADDRNOTAVAIL: (
        ": this machine does not have the address; write one of its own, or 0.0.0.0 and the address to advertise"
    ),
    errno.EACCES: ": ports below 1024, and directories of other users, need more rights",
}


def unbound(address: str) -> str:
    """Return why a process cannot listen on an address, which gRPC does not report."""
    path = address.removeprefix("unix:")
    try:
        if path != address:
            with socket.socket(socket.AF_UNIX) as s:
                s.bind(path)
            os.unlink(path)
        else:
            socket.create_server(split_addr(address)).close()
    except OSError as e:
        return reason(e) + _ADVICE.get(e.errno or 0, "")
    except ValueError as e:
        return str(e)
    return "gRPC cannot bind to it"


def reason(e: Exception | None) -> str:
    """Return in plain words why a connection or a request failed."""
    if isinstance(e, Error):
        return e.message
    if isinstance(e, socket.gaierror):
        return f"the name cannot be resolved ({e.strerror}): check it, and DNS"
    if isinstance(e, TimeoutError):
        return "it did not answer in time"
    if isinstance(e, http.client.HTTPException):
        return f"it does not answer as HTTP does ({type(e).__name__})"
    if isinstance(e, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {e.verify_message}"
    if isinstance(e, OSError) and e.strerror:
        return os.strerror(e.errno).lower() if e.errno else e.strerror
    return str(e)
