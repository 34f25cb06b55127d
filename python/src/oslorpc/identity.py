"""The identities that the ends of connections prove, and the template for the names of servers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from oslorpc.errors import invalid

_SPIFFE, _DNS = "spiffe://", "dns:"
_MAX_DNS, _MAX_LABEL, _FEW = 253, 63, 4
_FIELDS = ("exchange", "topic", "server")
_LOWER = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_PATH = _LOWER | frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ._")
# Prefixes of names that no URI may prove: an authority that checks DNS names may certify any URI.
_KINDS = ("dns:", "ip:", "user:", "token:")


@dataclasses.dataclass(frozen=True, slots=True)
class Identity:
    """The identity of a caller, proved by ``tls``, ``token`` or ``user``, or to a ``gateway``.

    If it has no names, the caller proved nothing.
    """

    proof: str = ""
    names: tuple[str, ...] = ()


NOBODY = Identity()


def names_of(uris: Iterable[str], dns: Iterable[str], ips: Iterable[str]) -> tuple[str, ...]:
    """Return the names in a certificate.

    A URI that looks like a name of another kind is left out.
    """
    plain = [uri for uri in uris if not uri.lower().startswith(_KINDS)]
    return (*plain, *(_DNS + name for name in dns), *("ip:" + ip for ip in ips))


@dataclasses.dataclass(frozen=True, slots=True)
class _Part:
    """A segment of a path, or a label: the value of a field between fixed texts."""

    before: str
    field: str
    after: str


class Template:
    """The name that the certificate of each server must have."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.dns = text.startswith(_DNS)
        self._scheme, self._separator = (_DNS, ".") if self.dns else (_SPIFFE, "/")
        if not text.startswith(self._scheme):
            raise self._wrong("it must begin with spiffe:// or dns:")
        self._parts = [self._parse(s) for s in text.removeprefix(self._scheme).split(self._separator)]
        self._check()

    def _wrong(self, why: str) -> Exception:
        how = "spiffe://DOMAIN/exchange/{exchange}/topic/{topic}/server/{server} or dns:{server}.{topic}.example"
        return invalid(f'identity template "{self.text}": {why}; write it as {how}')

    def _safe(self, c: str) -> bool:
        return c in (_LOWER if self.dns else _PATH)

    def _parse(self, segment: str) -> _Part:
        before, opened, rest = segment.partition("{")
        field, closed, after = rest.partition("}")
        if opened and (not closed or field not in _FIELDS):
            raise self._wrong(f'it has "{segment}"; the placeholders are {{exchange}}, {{topic}} and {{server}}')
        fixed = before + after
        if segment in ("", ".", ".."):
            raise self._wrong(f'a segment is "{segment}"')
        if "{" in fixed or "}" in fixed:
            raise self._wrong(f'"{segment}" has more than one placeholder, and the values could not be told apart')
        if not all(map(self._safe, fixed)):
            signs = "-, and no capitals" if self.dns else ". _ -"
            raise self._wrong(f'"{segment}" has characters other than letters, digits and {signs}')
        return _Part(before, field, after)

    def _check(self) -> None:
        used = [p.field for p in self._parts if p.field]
        for field in used:
            if used.count(field) > 1:
                raise self._wrong(f"it has {{{field}}} twice")
        if not self.dns and len(self._parts) < 2:
            raise self._wrong("it has no path")
        if not self.dns and self._parts[0].field:
            raise self._wrong("the trust domain must be fixed")
        if "server" not in used and "topic" not in used:
            raise self._wrong("it must have {server} or {topic}, or every server would have the same name")

    def name(self, exchange: str, topic: str, server: str) -> str:
        """Return the name that the certificate of a server must have.

        A ValueError means that no certificate can have it: a value is not known, or cannot be
        written in such a name.
        """
        values = {"exchange": exchange, "topic": topic, "server": server}
        text = self._scheme + self._separator.join(self._segment(p, values.get(p.field, "")) for p in self._parts)
        if self.dns and len(text.encode()) > _MAX_DNS + len(_DNS):
            raise ValueError(f"{text} is longer than a DNS name can be")
        return text

    def _segment(self, p: _Part, value: str) -> str:
        if not p.field:
            return p.before
        if not value:
            raise ValueError(
                f"the identity template {self.text} needs the {p.field}, which is not known of this address"
            )
        whole = p.before + value + p.after
        if self.dns:
            bad = not all(map(self._safe, value)) or len(whole) > _MAX_LABEL
            if bad or whole.startswith("-") or whole.endswith("-"):
                raise ValueError(
                    f'the {p.field} "{value}" cannot be a label of a DNS name: use an identity template that begins '
                    "with spiffe://, or names of lower-case letters, digits and -"
                )
            return whole
        dots = not whole.strip(".")  # the segments . and .. of a path mean other segments
        written = [
            c if self._safe(c) and not (dots and c == ".") else "".join(f"%{b:02X}" for b in c.encode()) for c in value
        ]
        return p.before + "".join(written) + p.after


def mismatch(want: str, proved: tuple[str, ...]) -> str:
    """Return why a certificate with the names ``proved`` does not prove the name ``want``, or an
    empty string if it does.
    """
    for name in proved:
        if name == want or (want.startswith(_DNS) and name.lower() == want):
            return ""
    listed = list(proved[:_FEW]) + ([f"{len(proved) - _FEW} more names"] if len(proved) > _FEW else [])
    return f"must prove {want}; it proved {', '.join(listed) or 'no name'}"
