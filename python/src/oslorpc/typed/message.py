"""A typed message that is being sent: its versions, and its headers."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from typing import Any, Self

from oslorpc.clientcore import Sendable, unreserved
from oslorpc.delivery import Plan
from oslorpc.errors import Error, Kind
from oslorpc.fleet import Entry
from oslorpc.typed.service import Method
from oslorpc.versions import Version

Headers = tuple[tuple[str, str | bytes], ...]
_NAME, _TEXT = re.compile("[a-z0-9_.-]+"), re.compile("[ -~]*")


class TypedMessage(Sendable):
    """A typed message. A server gets it at the first version that the server implements."""

    __slots__ = ("_added", "_common", "_content", "_forms", "exchange", "method", "version", "versions")

    def __init__(
        self,
        plan: Plan,
        deadline: float,
        turn: int,
        method: Method,
        content: Any,
        versions: Iterable[Version],
        id: str,
        exchange: str,
        common: Headers,
    ) -> None:
        super().__init__(plan, deadline, turn)
        self.method, self.versions, self.id, self.exchange = method, tuple(versions), id, exchange
        self._content, self._common = content, common
        self._forms: dict[Version, bytes] = {}
        self._added: Headers = _plain(plan, plan.metadata)
        self.version = self.versions[0]

    @property
    def asked(self) -> str:
        """The version that the message asks for."""
        return str(self.version)

    @property
    def service(self) -> str:
        """The full name of its service."""
        return self.method.path[1:].partition("/")[0]

    def asking(self, version: Version) -> Self:
        """Return the message for a server at one of its versions."""
        if version == self.version:
            return self
        m = copy.copy(self)
        m.version = version
        return m

    def carrying(self, metadata: Mapping[str, str]) -> Self:
        """Return the message with other metadata."""
        if metadata == self.plan.metadata:
            return self
        m = copy.copy(self)
        m._added = _plain(self.plan, metadata)
        return m

    def reporting(self, ago: float) -> Self:
        """Return the message with a report that its server missed a message ``ago`` seconds ago."""
        m = copy.copy(self)
        m._common = (*self._common, ("oslorpc-missed", f"{max(ago, 1e-9):.9f}s"))
        return m

    def able(self, e: Entry) -> list[Version]:
        """Return the versions that an instance serves, as far as is known."""
        able = [v for v in self.versions if e.serves(self.plan.namespace, v)]
        if not able:
            raise Error(Kind.UNSUPPORTED_VERSION, "the server has changed its versions", safe_to_retry=True)
        return able

    def encoded(self) -> bytes:
        """Return the request for a server at the message's version."""
        known = self._forms.get(self.version)
        if known is None:
            fitted = self.method.needs.fit(self._content, self.version)
            known = self._forms[self.version] = fitted.SerializeToString()
        return known

    def headers(self, e: Entry, credentials: Headers | None) -> Headers:
        """Return the headers for an instance.

        They carry what other messages have as fields of the request.
        """
        i, target = e.instance, self.plan.target
        if i.id:
            place: Mapping[str, str | None] = {"instance": i.id}
        else:
            place = {"exchange": self.exchange, "topic": target.topic, "server": target.server or i.server}
        fields = {**place, "id": self.id, "version": self.asked}
        ours = tuple((f"oslorpc-{name}", escape(value)) for name, value in fields.items() if value)
        return (*self._added, *self._common, *ours, *(credentials or ()))


def escape(text: str) -> str:
    """Encode a name for a header: visible ASCII is unchanged, except the percent sign and the
    comma.
    """
    return "".join(chr(b) if 0x21 <= b <= 0x7E and b not in (0x25, 0x2C) else f"%{b:02X}" for b in text.encode())


def _plain(plan: Plan, metadata: Mapping[str, str]) -> Headers:
    """Return metadata as headers.

    Raises an Error for a name or a value that headers cannot carry.
    """
    given = unreserved(metadata)
    for name, value in given.items():
        if not _NAME.fullmatch(name) or not (name.endswith("-bin") or _TEXT.fullmatch(value)):
            why = "names are ASCII letters, digits, '-', '_' and '.', values printable ASCII"
            message = f"the metadata {name!r} cannot be a header: {why}"
            raise Error(Kind.BAD_ARGUMENTS, message, target=plan.target, method=plan.method, safe_to_retry=True)
    return tuple(given.items())
