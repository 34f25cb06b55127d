"""Targets say who a message is for, in oslo.messaging's terms."""

from __future__ import annotations

import dataclasses
import unicodedata

from oslorpc.errors import Error, Kind, invalid, word
from oslorpc.versions import Version

DEFAULT_EXCHANGE = "openstack"
_MAX_NAME = 255


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """The receiver of messages: a client sends to a target, a server listens on one, and an
    endpoint has one.

    None means "not given" in every field. A version is text such as "1.4".
    """

    topic: str | None = None
    exchange: str | None = None
    namespace: str | None = None
    version: str | None = None
    server: str | None = None
    fanout: bool = False

    def __str__(self) -> str:
        given = [
            f"{name}={value}"
            for name in ("exchange", "topic", "namespace", "version", "server")
            if (value := getattr(self, name)) is not None
        ]
        if self.fanout:
            given.append("fanout=True")
        return f"<Target {', '.join(given)}>"

    def words(self) -> str:
        """Return the given fields, for the text of an error: "topic volumes, server node2"."""
        given = [
            f"{name} {word(value)}"
            for name in ("topic", "server", "exchange", "namespace", "version")
            if (value := getattr(self, name))
        ]
        if self.fanout:
            given.append("all servers")
        return ", ".join(given)

    def replace(self, **changes: object) -> Target:
        """Return a copy with other fields."""
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]

    def check(self) -> None:
        """Raise an Error of kind InvalidTarget for an invalid name or version."""
        for name in ("exchange", "topic", "namespace", "server"):
            value = getattr(self, name)
            if value is None:
                continue
            if value == "":
                raise self._invalid(f"the {name} is empty: leave it out")
            check_name(name, value)
        if self.version is not None:
            try:
                Version.parse(self.version)
            except ValueError as e:
                raise self._invalid(str(e)) from None

    def check_client(self) -> None:
        """Check a client's target, which needs a topic."""
        if not self.topic:
            raise self._invalid("a topic is required to send: give the target one")
        self.check()

    def check_server(self) -> None:
        """Check a server's target, which needs a topic and a server name."""
        if not self.topic or not self.server:
            raise self._invalid("a server's target must have topic and server names")
        self.check()

    def _invalid(self, message: str) -> Error:
        return Error(Kind.INVALID_TARGET, message, target=self, safe_to_retry=True)


def check_name(what: str, value: object) -> None:
    """Raise an Error of kind InvalidTarget unless a value can be a name."""
    reason = _bad_name(value)
    if reason:
        shown = repr(value) if len(repr(value)) <= _MAX_NAME else f"{value!r:.64}..."
        message = f"the {what} {shown} {reason}"
        raise Error(Kind.INVALID_TARGET, message, safe_to_retry=True)


def check_zone(zone: object) -> None:
    """Raise an Error for an invalid zone. An empty zone means none."""
    if reason := _bad_name(zone):
        raise invalid(f"the zone {zone!r:.64} {reason}")


def _bad_name(value: object) -> str:
    if not isinstance(value, str):
        return f"is of type {type(value).__name__}: give a str"
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        return "has a lone surrogate, which UTF-8 cannot hold: remove it"
    if size > _MAX_NAME:
        return f"is longer than {_MAX_NAME} bytes: shorten it"
    if not value.isprintable() and any(unicodedata.category(c) == "Cc" for c in value):
        return "has control characters: remove them"
    return ""
