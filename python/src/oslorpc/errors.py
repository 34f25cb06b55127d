"""The errors of oslorpc. Each says what went wrong and whether the message may have run."""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oslorpc.target import Target


class Kind(enum.StrEnum):
    """What went wrong. docs/delivery.md describes each kind."""

    INVALID_TARGET = "InvalidTarget"
    VERSION_CAP_EXCEEDED = "VersionCapExceeded"
    UNSUPPORTED_VERSION = "UnsupportedVersion"
    NO_SUCH_METHOD = "NoSuchMethod"
    BAD_ARGUMENTS = "BadArguments"
    BAD_RESULT = "BadResult"
    TOO_LARGE = "TooLarge"
    ACCESS_DENIED = "AccessDenied"
    NO_INSTANCE = "NoInstance"
    REFUSED = "Refused"
    UNREACHABLE = "Unreachable"
    UNTRUSTED = "Untrusted"
    TIMEOUT = "Timeout"
    MONITOR_TIMEOUT = "MonitorTimeout"
    OUTCOME_UNKNOWN = "OutcomeUnknown"
    REMOTE = "Remote"
    CANCELED = "Canceled"
    INVALID = "Invalid"

    @property
    def words(self) -> str:
        """The kind in words."""
        return _WORDS[self]


_WORDS = {
    Kind.INVALID_TARGET: "invalid target",
    Kind.VERSION_CAP_EXCEEDED: "version cap exceeded",
    Kind.UNSUPPORTED_VERSION: "unsupported version",
    Kind.NO_SUCH_METHOD: "no such method",
    Kind.BAD_ARGUMENTS: "bad arguments",
    Kind.BAD_RESULT: "bad result",
    Kind.TOO_LARGE: "too large",
    Kind.ACCESS_DENIED: "access denied",
    Kind.NO_INSTANCE: "not delivered: no instance",
    Kind.REFUSED: "not delivered: refused",
    Kind.UNREACHABLE: "not delivered: unreachable",
    Kind.UNTRUSTED: "not delivered: untrusted",
    Kind.TIMEOUT: "timed out",
    Kind.MONITOR_TIMEOUT: "heartbeats stopped",
    Kind.OUTCOME_UNKNOWN: "outcome unknown",
    Kind.REMOTE: "remote error",
    Kind.CANCELED: "canceled",
    Kind.INVALID: "invalid use",
}

# Reasons why a server did not accept a message, for the kind Refused.
FULL, STOPPING, MISDIRECTED, DECLINED = "full", "stopping", "misdirected", "declined"
FOREIGN = "foreign"
REASONS = {
    FULL: "its queue is full",
    STOPPING: "it is stopping",
    MISDIRECTED: "it is not the intended instance",
    DECLINED: "one of its interceptors refused it",
    FOREIGN: "another program has its address",
}


class Error(Exception):
    """The error of every operation of oslorpc.

    ``kind`` says what went wrong. ``safe_to_retry`` is True if the method provably did not run, so
    that sending the message again cannot make it run twice; False means that it may have run.
    ``server``, ``instance_id`` and ``addr`` name the instance that the error is about, if any.
    ``path`` is a place within the arguments or the result, as a JSON pointer. ``waited`` is how
    many seconds the client waited before it gave up, or 0 if it did not give up.
    """

    def __init__(
        self,
        kind: Kind,
        message: str = "",
        *,
        safe_to_retry: bool = False,
        target: Target | None = None,
        method: str = "",
        server: str = "",
        instance_id: str = "",
        addr: str = "",
        path: str = "",
        reason: str = "",
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.safe_to_retry = safe_to_retry
        self.target = target
        self.method = method
        self.server = server
        self.instance_id = instance_id
        self.addr = addr
        self.path = path
        self.reason = reason
        self.waited = 0.0
        self.answered = False  # it came from a server

    @property
    def not_delivered(self) -> bool:
        """Whether no server accepted the message."""
        return self.kind in (Kind.NO_INSTANCE, Kind.REFUSED, Kind.UNREACHABLE, Kind.UNTRUSTED)

    def __str__(self) -> str:
        kind, waited = self.kind.words, ""
        if self.waited > 0 and self.kind is Kind.TIMEOUT:
            kind += f" after {_seconds(self.waited)}"
        elif self.waited > 0:
            waited = f" (waited {_seconds(self.waited)})"
        return ": ".join(part for part in (kind, *self._about()) if part) + waited

    def _about(self) -> tuple[str, str]:
        """Describe the message and the server of the error, and return the rest of the text.

        A server that the text names already is not repeated.
        """
        message, target = self.message, self.target
        named = not self.addr or self.addr in message
        begin = f'server "{self.server}" '
        if target is not None and self.server == target.server and (not named or self.server in message):
            target = target.replace(server=None)
        words = target.words() if target is not None else ""
        if named or message.startswith(begin):
            if not named:
                message = f'server "{self.server}" at {self.addr} {message[len(begin) :]}'
            return " on ".join(part for part in (word(self.method), words) if part), message
        return ", ".join(part for part in (self._place(), words) if part), message

    def _place(self) -> str:
        """Describe the method of the error, and the server."""
        if self.method:
            where = f"{word(self.server)} ({self.addr})" if self.server else self.addr
            return f"{word(self.method)} at {where}"
        return f'server "{self.server}" at {self.addr}' if self.server else f"the server at {self.addr}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.__dict__)


def word(name: str) -> str:
    """Return a name for use in a sentence. It is quoted unless it is one word."""
    ordinary = name.isprintable() and not any(c in " ,;:()" for c in name)
    return name if ordinary else json.dumps(name, ensure_ascii=False)


def _seconds(length: float) -> str:
    """Format a time for people, with two or three digits: "250ms", "2.5s", "60s"."""
    if length < 1:
        return f"{max(round(length * 1000), 1)}ms"
    return f"{round(length, 0 if length > 10 else 1):g}s"


def _restore(cls: type[Error], state: dict[str, Any]) -> Error:
    error = cls.__new__(cls)
    Exception.__init__(error, state.get("message", ""))
    error.__dict__.update(state)
    return error


class RemoteError(Error):
    """The method ran and failed.

    ``type`` is the name of the error's type at the server, and ``remote_message`` is its text.
    ``stack`` has the lines of its stack, and ``hops`` names the servers that it passed through,
    beginning with the one that raised it. ``data`` has its fields as JSON text, if its type is
    registered at the server.
    """

    def __init__(
        self,
        type: str,
        message: str,
        stack: tuple[str, ...] = (),
        hops: tuple[str, ...] = (),
        data: str = "",
        **about: Any,
    ) -> None:
        super().__init__(Kind.REMOTE, f"{type}: {message}" if type != "error" else message, **about)
        self.type = type
        self.remote_message = message
        self.stack = tuple(stack)
        self.hops = tuple(hops)
        self.data = data


class ExceptionTypes:
    """The exception classes that a program registered.

    Remote errors of these types are raised as these exceptions.
    """

    def __init__(self, classes: Mapping[str, type[BaseException]] | None = None) -> None:
        self._by_name = dict(classes or {})
        self._by_class = {cls: name for name, cls in self._by_name.items()}

    def describe(self, error: BaseException) -> tuple[str, str]:
        """Return the registered name of an exception and its fields as JSON text, or empty
        strings.
        """
        for cls in type(error).__mro__:
            name = self._by_class.get(cls)
            if name is not None:
                return name, _fields(error)
        return "", ""

    def rebuild(self, error: RemoteError) -> BaseException | None:
        """Return the registered exception for a remote error, or None if it cannot be made."""
        cls = self._by_name.get(error.type)
        if cls is None:
            return None
        try:
            fields = json.loads(error.data) if error.data else {}
            rebuilt = cls.__new__(cls)
            rebuilt.args = (error.remote_message,)
            for name, value in fields.items():
                setattr(rebuilt, name, value)
        except Exception:
            return None
        return rebuilt


def _fields(error: BaseException) -> str:
    fields = {name: value for name, value in vars(error).items() if not name.startswith("_")}
    try:
        return json.dumps(fields, allow_nan=False, ensure_ascii=False) if fields else ""
    except (TypeError, ValueError):
        return ""


def kind_of(error: BaseException) -> Kind | None:
    """Return the kind of an error, or of the error behind a registered exception.

    Return None for other exceptions.
    """
    family = find(error)
    return family.kind if family else None


def safe_to_retry(error: BaseException) -> bool:
    """Whether the message behind an error provably did not run."""
    family = find(error)
    return family is not None and family.safe_to_retry


def find(error: BaseException) -> Error | None:
    """Return the Error itself, or the Error behind a registered exception."""
    if isinstance(error, Error):
        return error
    origin = getattr(error, "__oslorpc__", None)
    return origin if isinstance(origin, Error) else None


def raised(error: Error, types: ExceptionTypes) -> BaseException:
    """Return the exception to raise for an error: the registered one, if there is one."""
    if not isinstance(error, RemoteError):
        return error
    rebuilt = types.rebuild(error)
    if rebuilt is None:
        return error
    rebuilt.__oslorpc__ = error  # type: ignore[attr-defined]
    rebuilt.__cause__ = error
    return rebuilt


def invalid(message: str) -> Error:
    """Return the error for a wrong use of the library."""
    return Error(Kind.INVALID, message, safe_to_retry=True)


def refused(reason: str, message: str = "") -> Error:
    """Return the error for a message that a server does not accept."""
    return Error(Kind.REFUSED, message or REASONS[reason], reason=reason, safe_to_retry=True)


Describe = Callable[[BaseException], tuple[str, str]]
