"""Versions of interfaces, and caps on them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

_PATTERN = re.compile(r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(?:\.(0|[1-9][0-9]*))?", re.ASCII)
AUTO = "auto"


class Version(NamedTuple):
    """A version of an interface. Versions compare numerically."""

    major: int
    minor: int
    revision: int = 0

    @classmethod
    def parse(cls, text: str) -> Version:
        """Parse "major.minor" or "major.minor.revision". A ValueError says what is wrong."""
        match = _PATTERN.fullmatch(text) if isinstance(text, str) and len(text) < 64 else None
        if match is not None:
            version = cls(*(int(part or 0) for part in match.groups()))
            if max(version) < 1 << 32:
                return version
        raise ValueError(
            f'version {text!r:.64} is malformed: write "major.minor" or "major.minor.revision", '
            'such as "1.4", in decimal numbers below 2^32 without leading zeros'
        )

    def __str__(self) -> str:
        text = f"{self.major}.{self.minor}"
        return f"{text}.{self.revision}" if self.revision else text

    def serves(self, requested: Version) -> bool:
        """Whether an interface at this version can serve a message that asks for another."""
        return self.major == requested.major and self[1:] >= requested[1:]


DEFAULT_VERSION = Version(1, 0)


class Implementation(NamedTuple):
    """An interface that an instance offers. The default namespace is an empty string."""

    namespace: str
    version: Version


class Cap:
    """The latest version that a client may send: a version, an alias, "auto", or None."""

    def __init__(self, text: str | None, aliases: Mapping[str, str] | None = None) -> None:
        self.auto = text == AUTO and AUTO not in (aliases or {})
        self.text = text
        self.version: Version | None = None
        if text is None or self.auto:
            return
        try:
            self.version = Version.parse((aliases or {}).get(text, text))
        except ValueError as e:
            known = ", ".join(sorted(aliases or {})) or "of which there are none"
            raise ValueError(f'version cap "{text}" is neither "auto" nor an alias ({known}): {e}') from None

    def allows(self, version: Version) -> bool:
        """Whether the cap itself allows a message at this version. "auto" allows all."""
        return self.version is None or self.version.serves(version)

    def __str__(self) -> str:
        if self.version is None:
            return self.text or "none"
        version = str(self.version)
        return version if version == self.text else f"{self.text} ({version})"


def describe_namespace(namespace: str) -> str:
    """Return a namespace for people."""
    return f'namespace "{namespace}"' if namespace else "default namespace"


def offer(implemented: list[Implementation]) -> str:
    """Describe for people what is implemented."""
    if not implemented:
        return "no endpoint is offered"
    words = [f"{i.version} of the {describe_namespace(i.namespace)}" for i in implemented]
    return "offered is " + ", ".join(words)
