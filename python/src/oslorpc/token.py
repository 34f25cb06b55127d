"""Bearer tokens: how clients send them, and how servers verify them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from oslorpc.errors import Error, Kind, invalid
from oslorpc.identity import Identity

_log = logging.getLogger("oslorpc.trust")
_MAX_SENT, _MAX_TAKEN = 6 << 10, 8 << 10
_REMEMBERED, _FRESH, _QUIET = 1024, 10.0, 10.0
_BEARER = "bearer "
_DENIED = "this server needs a token that it trusts, a certificate, or a Unix socket: the server's log has the reason"

Verify = Callable[[str], str]


def read(path: str) -> str:
    """Return the token in a file. An Error says what is wrong."""
    try:
        with open(path, encoding="ascii") as f:
            token = f.read(_MAX_SENT + 1024).strip()
    except (OSError, UnicodeDecodeError) as e:
        raise invalid(f"token-file: {path} cannot be read: {e}") from None
    return checked(token, f"token-file: {path}")


def checked(token: str, whence: str) -> str:
    """Return a token, or raise an Error if it is invalid."""
    if not token:
        raise invalid(f"{whence} has no token")
    if len(token) > _MAX_SENT or not all("!" <= c <= "~" for c in token):
        raise invalid(f"{whence}: a token is visible ASCII of at most {_MAX_SENT} bytes")
    return token


class Verifier:
    """Verifies tokens with the program's function. It runs on the event loop."""

    def __init__(self, verify: Verify) -> None:
        self._verify = verify
        self._known: dict[str, tuple[float, str]] = {}
        self._told: dict[str, float] = {}

    def identify(self, proved: Identity, headers: Any, address: str) -> Identity:
        """Return the identity that a caller proved by its connection and its token, or raise an
        Error of kind AccessDenied.
        """
        values = [v for k, v in headers or () if k == "authorization"]
        if not values:
            if proved.names:
                return proved
            raise self._denied(address, "it has neither a token nor a certificate")
        if len(values) > 1 or not isinstance(values[0], str) or not values[0].lower().startswith(_BEARER):
            raise self._denied(address, "the header authorization is not `Bearer TOKEN`, once")
        name = self._name(values[0][len(_BEARER) :].strip(), address)
        return Identity("token", ("token:" + name, *proved.names))

    def _name(self, token: str, address: str) -> str:
        now = time.monotonic()
        until, name = self._known.get(token, (0.0, ""))
        if now < until:
            return name
        if not token or len(token) > _MAX_TAKEN:
            raise self._denied(address, f"a token has 1 to {_MAX_TAKEN} bytes")
        try:
            name = self._verify(token)
        except Exception as e:
            raise self._denied(address, f"{type(e).__name__}: {e}") from None
        if not isinstance(name, str) or not name:
            raise self._denied(address, "the verifier returned no name of a caller")
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[token] = now + _FRESH, name
        return name

    def _denied(self, address: str, why: str) -> Error:
        host, now = address.rpartition(":")[0], time.monotonic()
        if now - self._told.get(host, -_QUIET) >= _QUIET:
            if len(self._told) >= _REMEMBERED:
                self._told.clear()
            self._told[host] = now
            _log.warning("the token of a client proves nothing: address=%s reason=%.500s", address, why)
        return Error(Kind.ACCESS_DENIED, _DENIED, safe_to_retry=True)
