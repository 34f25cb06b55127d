"""Finds the name that was probably meant by an unknown name."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str], rest: str) -> str:
    """Return the end of a text about an unknown name.

    It asks "did you mean" if a known name is similar, and ends with ``rest``, which begins without
    a capital letter.
    """
    names = list(known)
    plain = _plain(name)
    meant = next((k for k in names if _plain(k) == plain), None) or next(
        (k for k in names if _is_typo(plain, _plain(k))), None
    )
    return f"; {rest}" if meant is None else f'; did you mean "{meant}"? {rest[0].upper()}{rest[1:]}'


def _plain(name: str) -> str:
    return name.lower().replace("_", "")


def _is_typo(a: str, b: str) -> bool:
    """Whether one letter is missing, added or replaced, or two are swapped.

    Returns False for short names, which are too similar to each other.
    """
    if max(len(a), len(b)) < 4:
        return False
    while a and b and a[0] == b[0]:
        a, b = a[1:], b[1:]
    while a and b and a[-1] == b[-1]:
        a, b = a[:-1], b[:-1]
    return (len(a) <= 1 and len(b) <= 1) or (len(a) == 2 and a == b[::-1])
