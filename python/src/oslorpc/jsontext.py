"""Finds mistakes in JSON text.

The standard library reports an offset; the protocol requires a JSON pointer.
"""

from __future__ import annotations

import json
import math
import re

_BLANK = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"')
TOO_DEEP = "it nests too deep"
_WORDS = ("null", "true", "false")


class _WrongError(Exception):
    pass


def locate(text: str) -> tuple[str, str]:
    """Return the JSON pointer of the first mistake in a text and a description, or empty strings if
    there is none.
    """
    scanner = _Scanner(text)
    try:
        at = scanner.value(0, "", 0)
        if _after_blanks(text, at) != len(text):
            raise _WrongError("", "more text follows the value")
    except _WrongError as e:
        return e.args[0], e.args[1]
    return "", ""


def _after_blanks(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    return match.end() if match else at


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text

    def value(self, at: int, path: str, depth: int) -> int:
        """Parse a value, and return where it ends."""
        at = _after_blanks(self.text, at)
        if depth > 300:
            raise _WrongError(path[:200], TOO_DEEP)
        first = self.text[at : at + 1]
        if first == "{":
            return self.members(at + 1, path, depth)
        if first == "[":
            return self.items(at + 1, path, depth)
        if first == '"':
            return self.string(at, path)[0]
        for word in _WORDS:
            if self.text.startswith(word, at):
                return at + len(word)
        match = _NUMBER.match(self.text, at)
        if match is None:
            what = f"{self.text[at : at + 16]!r} is not JSON" if first else "the text ends where a value is expected"
            raise _WrongError(path, what)
        if not match[1] and not match[2] and len(match[0]) > 4300:
            raise _WrongError(path, "an integer may have at most 4300 digits")
        if (match[1] or match[2]) and math.isinf(float(match[0])):
            raise _WrongError(path, f"{match[0]:.64} is larger than any float")
        return match.end()

    def string(self, at: int, path: str) -> tuple[int, str]:
        match = _STRING.match(self.text, at)
        if match is None:
            raise _WrongError(path, f"{self.text[at : at + 16]!r} is not a string")
        return match.end(), match[0]

    def members(self, at: int, path: str, depth: int) -> int:
        seen: set[str] = set()
        at = _after_blanks(self.text, at)
        if self.text.startswith("}", at):
            return at + 1
        while True:
            at = _after_blanks(self.text, at)
            at, quoted = self.string(at, path)
            name = json.loads(quoted)
            inner = path + "/" + name.replace("~", "~0").replace("/", "~1")
            if name in seen:
                raise _WrongError(inner, "the name appears twice")
            seen.add(name)
            at = _after_blanks(self.text, at)
            if not self.text.startswith(":", at):
                raise _WrongError(inner, "a colon is missing")
            at = _after_blanks(self.text, self.value(at + 1, inner, depth + 1))
            if self.text.startswith("}", at):
                return at + 1
            if not self.text.startswith(",", at):
                raise _WrongError(path, "the object does not end")
            at += 1

    def items(self, at: int, path: str, depth: int) -> int:
        at = _after_blanks(self.text, at)
        if self.text.startswith("]", at):
            return at + 1
        n = 0
        while True:
            at = _after_blanks(self.text, self.value(at, f"{path}/{n}", depth + 1))
            if self.text.startswith("]", at):
                return at + 1
            if not self.text.startswith(",", at):
                raise _WrongError(path, "the list does not end")
            at, n = _after_blanks(self.text, at + 1), n + 1
            if self.text.startswith("]", at):
                raise _WrongError(path, "a value is missing after the comma")
