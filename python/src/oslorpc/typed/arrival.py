"""Typed messages at a server. What other messages have as fields of the request, these have as
headers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from google.protobuf.message import DecodeError

from oslorpc import intake, payload
from oslorpc.context import Incoming
from oslorpc.endpoint import Method
from oslorpc.errors import Error, Kind
from oslorpc.intake import Served
from oslorpc.interceptor import Message, Peer
from oslorpc.target import Target, check_name
from oslorpc.versions import Version

_TEXTS = ("exchange", "topic", "server", "instance", "id", "order-key")
_PARTS = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class Head:
    """The headers of a typed message."""

    __slots__ = (
        "caller", "context", "exchange", "id", "instance", "missed", "order_key", "server", "topic", "version",
    )  # fmt: skip

    def __init__(self, headers: Any) -> None:
        said: dict[str, Any] = {}
        for key, value in headers or ():
            if key.startswith("oslorpc-"):
                if key in said:
                    raise _invalid(f"the header {key} was sent more than once: send it once")
                if not value:
                    raise _invalid(f"the header {key} is empty: leave it out to say nothing")
                said[key] = value
        texts = {name: intake.unescape(f"oslorpc-{name}", said.get(f"oslorpc-{name}", "") or None) for name in _TEXTS}
        self.exchange, self.topic, self.server = texts["exchange"], texts["topic"], texts["server"]
        self.instance, self.id, self.order_key = texts["instance"], texts["id"], texts["order-key"]
        for name in ("exchange", "topic", "server", "order-key"):
            check_name(name.replace("-", " "), texts[name])
        self.version = _version(said.get("oslorpc-version"))
        self.missed = _seconds(said.get("oslorpc-missed"))
        self.context: bytes = said.get("oslorpc-context-bin", b"")
        self.caller: bytes = said.get("oslorpc-caller-bin", b"")


def _version(text: str | None) -> Version | None:
    if text is None:
        return None
    try:
        return Version.parse(text)
    except ValueError as e:
        raise _invalid(f"the header oslorpc-version: {e}") from None


def _seconds(text: str | None) -> float | None:
    """Parse a duration in Go's format, such as 1.5s or 1m2s."""
    if text is None:
        return None
    parts = _PARTS.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise _invalid(f"the header oslorpc-missed: {text!r:.64} is not a duration such as 1.5s")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def _invalid(message: str) -> Error:
    return Error(Kind.INVALID_TARGET, message, safe_to_retry=True)


def find(servers: Sequence[Served], service: str, h: Head, boot_id: str) -> Served:
    """Return the server that a message is for, among those that offer its service.

    Fields of the target that the message lacks are not compared.
    """
    for s in servers:
        if h.instance and s.instance.id == h.instance:
            _check(s, h)
    meant = [s for s in servers if _means(s, h)]
    offering = [s for s in meant if s.dispatcher.table.offer(service) is not None]
    if offering:
        active = [s for s in offering if s.dispatcher.phase == "active"]
        return (active or offering)[0]
    if meant:
        message = f"no server that matches the target offers the service {service}"
        raise Error(Kind.NO_SUCH_METHOD, message, safe_to_retry=True)
    raise intake.absent(servers, h.instance, boot_id)


def _means(s: Served, h: Head) -> bool:
    i = s.instance
    return (
        h.exchange in ("", i.exchange)
        and h.topic in ("", i.topic)
        and h.server in ("", i.server)
        and h.instance in ("", i.id)
    )


def _check(s: Served, h: Head) -> None:
    i = s.instance
    for what, said, found in (
        ("exchange", h.exchange, i.exchange),
        ("topic", h.topic, i.topic),
        ("server", h.server, i.server),
    ):
        if said and said != found:
            raise _invalid(
                f"the message is for instance {h.instance!r:.64}, whose {what} is {found!r:.64}, and for the {what} "
                f"{said!r:.64}: leave one of them out"
            )


class TypedTaken(Incoming):
    """An accepted typed message."""

    __slots__ = ("_body", "_context", "_most", "headers", "method_of", "peer", "served", "typed")

    def __init__(
        self, served: Served, method: Method, version: Version, h: Head, body: bytes, headers: Any, peer: Peer,
        caller: str, most: int,
    ) -> None:  # fmt: skip
        super().__init__(method.name, h.id, str(version), served.instance.server, caller, len(body) + len(h.context))
        self._body, self._context, self._most = body, h.context, most
        self.served, self.method_of, self.typed = served, method, method.typed
        self.headers, self.peer = headers, peer
        self.order_key = h.order_key if h.id else ""
        self.metadata = intake.of_headers(headers)

    def content(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Decode the request context and the request."""
        context: Any = {}
        if self._context:
            try:
                context = payload.loads(self._context.decode(), Kind.BAD_ARGUMENTS)
            except UnicodeDecodeError:
                context = None
            if type(context) is not dict:
                what = "the request context must be a JSON object"
                raise Error(Kind.BAD_ARGUMENTS, what, safe_to_retry=True)
        try:
            return context, {"request": self.typed.read(self._body)}
        except DecodeError as e:
            message = f"the request cannot be decoded: {e}"
            raise Error(Kind.BAD_ARGUMENTS, message, safe_to_retry=True) from None

    def written(self, answer: Any) -> bytes:
        """Encode a method's result or item."""
        wanted = self.typed.declared.output
        found = getattr(getattr(answer, "DESCRIPTOR", None), "full_name", type(answer).__name__)
        try:
            if found != wanted:
                raise Error(Kind.BAD_RESULT, f"the method ran, and returned a {found}; it must return a {wanted}")
            encoded: bytes = self.typed.write(answer)
            if len(encoded) > self._most:
                size, most = len(encoded), self._most
                message = f"the method ran, and its result has {size} bytes, and this server sends at most {most}"
                raise Error(Kind.TOO_LARGE, message + ": return less at a time")
        except Error as e:
            e._of_payload = True  # type: ignore[attr-defined]
            raise
        return encoded

    def seen(self, delivery: str) -> Message:
        """Return the message in the view of interceptors."""
        i = self.served.instance
        declared = self.typed.declared
        target = Target(
            topic=i.topic, exchange=i.exchange, namespace=declared.service.namespace or None, version=self.version,
        )  # fmt: skip
        return Message(
            target, self.method, delivery, False, self.id, self.order_key, i.server, i.id, caller=self.caller,
            peer=self.peer, metadata=dict(self.metadata), service=declared.path[1:].partition("/")[0],
        )  # fmt: skip
