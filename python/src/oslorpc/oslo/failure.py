"""Converts exceptions of oslo.messaging to errors of oslorpc, and back.

The type of a remote error is ``module.Class``, without a module for builtins. Its data is a JSON
object with the exception's args and kwargs, as in oslo.messaging's own drivers. If the kwargs alone
are enough to make the exception again, the data has only the kwargs: other languages can use them
as fields.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import logging
from typing import Any, NoReturn

import oslo_messaging
from oslo_messaging import exceptions
from oslo_messaging._drivers import common
from oslo_serialization import jsonutils

from oslorpc.oslo.frames import Header

_log = logging.getLogger("oslorpc.oslo")
_ORIGIN = "_oslorpc_origin"
_DISPATCHER = "oslo_messaging.rpc.dispatcher"
_ROOM = 2400  # bytes for the stack and the data of an error: a status has 4 KiB


@dataclasses.dataclass(frozen=True, slots=True)
class Origin:
    """A remote error as it arrived, which is kept with the exception made from it.

    ``hops`` names the servers that it passed through, beginning with the one that raised it.
    """

    type: str
    message: str
    stack: tuple[str, ...]
    hops: tuple[str, ...]
    data: str

    def to_wire(self) -> list[Any]:
        """Return what the helper process sends."""
        return [self.type, self.message, list(self.stack), list(self.hops), self.data]


def origin_of(error: BaseException) -> Origin | None:
    """Return the remote error from which an exception was made, or None."""
    found = getattr(error, _ORIGIN, None)
    return found if isinstance(found, Origin) else None


def describe(failure: Any) -> list[Any]:
    """Return the failure of a method, an exc_info tuple, in the form that the helper process
    sends.
    """
    error = failure[1]
    origin = origin_of(error)
    if origin is not None:
        return origin.to_wire()
    try:
        told = json.loads(common.serialize_remote_exception(failure))
        args, kwargs = told["args"], told["kwargs"]
        fields = kwargs if _made_of(kwargs, error) else {"args": args, "kwargs": kwargs}
        data = jsonutils.dumps(fields, allow_nan=False)
    except Exception as e:
        _log.warning("the arguments of the exception %s cannot be sent: %s", type(error).__name__, e)
        told = json.loads(common.serialize_remote_exception((type(error), _bare(error), failure[2])))
        data = ""
    name = told["class"] if told["module"] == "builtins" else f"{told['module']}.{told['class']}"
    message = str(told["message"])
    room = _ROOM - len(message.encode("utf-8", "replace"))
    if len(data) > room:
        data = ""
    lines = [line for entry in told["tb"] for line in entry.rstrip("\n").split("\n")]
    return [name, message, shorten(lines, room - len(data)), [], data]


def _made_of(kwargs: dict[str, Any], error: BaseException) -> bool:
    """Whether an exception made of keyword arguments alone equals this one."""
    if kwargs.keys() <= {"args", "kwargs"}:  # there are none, or they look like the other form of data
        return False
    try:
        same = type(error)(**kwargs)
        return (same.args, str(same)) == (error.args, str(error))
    except Exception:
        return False


def _bare(error: BaseException) -> BaseException:
    """Return an exception that looks like another one, without its arguments."""
    cls = type(error)

    def text(self: BaseException) -> str:
        return str(error)

    bare: BaseException = type(cls.__name__, (Exception,), {"__module__": cls.__module__, "__str__": text})()
    return bare


def shorten(lines: list[str], room: int) -> list[str]:
    """Remove lines in the middle until the rest has at most ``room`` bytes.

    Both ends of a traceback are the most useful.
    """
    sizes = [len(line.encode("utf-8", "replace")) + 4 for line in lines]
    if sum(sizes) <= room:
        return lines
    head: list[str] = []
    tail: list[str] = []
    left = room - 40
    first, last = 0, len(lines) - 1
    while first <= last:
        from_end = len(tail) <= 2 * len(head)
        at = last if from_end else first
        left -= sizes[at]
        if left < 0:
            break
        if from_end:
            tail.append(lines[at])
            last -= 1
        else:
            head.append(lines[at])
            first += 1
    return [*head, f"  … {last - first + 1} lines left out …", *reversed(tail)]


def raise_remote(remote: list[Any], allowed: list[str]) -> NoReturn:
    """Raise the exception for a remote error. oslo.messaging's rules decide which classes are
    rebuilt.
    """
    type_name, message, stack, hops, data = remote
    origin = Origin(type_name, message, tuple(stack), tuple(hops), data)
    module, name = _class_of(type_name, allowed)
    args, kwargs = _arguments(data, message, module)
    error = _rebuild(name, module, message, list(stack), args, kwargs, allowed)
    _mark(error, origin)
    raise error


def _class_of(type_name: str, allowed: list[str]) -> tuple[str, str]:
    """Return module and class of a type.

    A name without a module, which servers in Go may register, is a builtin, or a class in an
    allowed module.
    """
    module, _, name = type_name.rpartition(".")
    if module:
        return module, name
    for place in ("builtins", *allowed):
        try:
            cls = getattr(importlib.import_module(place), name, None)
        except ImportError:
            continue
        if isinstance(cls, type) and issubclass(cls, Exception):
            return place, name
    return "", name


def _arguments(data: str, message: str, module: str) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments that make the exception again.

    The data is from this driver, or has the fields of an error in another language.
    """
    fields = json.loads(data) if data else None
    if isinstance(fields, dict) and fields.keys() <= {"args", "kwargs"}:
        args, kwargs = fields.get("args"), fields.get("kwargs")
        return (args if isinstance(args, list) else []), (kwargs if isinstance(kwargs, dict) else {})
    if isinstance(fields, dict):
        return [], fields
    return [message], {}


def _rebuild(
    name: str,
    module: str,
    message: str,
    stack: list[str],
    args: list[Any],
    kwargs: dict[str, Any],
    allowed: list[str],
) -> BaseException:
    failure = {"class": name, "module": module, "message": message, "tb": stack, "args": args, "kwargs": kwargs}
    try:
        error: BaseException = common.deserialize_remote_exception(json.dumps(failure), allowed)
    except Exception as e:  # the constructor may need other arguments
        _log.warning("the remote exception %s was not rebuilt: %r", name, e)
        error = oslo_messaging.RemoteError(name, message, stack)
    return error


def _mark(error: BaseException, origin: Origin) -> None:
    try:
        setattr(error, _ORIGIN, origin)
        error.oslorpc_hops = list(origin.hops)  # type: ignore[attr-defined]
    except AttributeError:  # a class with slots has no such attribute
        _log.debug("the hops of %s are lost", type(error).__name__)


def raise_for(told: Header, target: Any, method: str, waits: bool, allowed: list[str], at_least_once: bool) -> NoReturn:
    """Raise the exception that oslo.messaging's drivers raise for this error.

    ``waits`` is True for a call without a limit on retries: it waits for a server until its
    timeout.
    """
    kind, text = told["kind"], told["message"]
    if kind == "Remote":
        raise_remote(told["remote"], allowed)
    if kind == "BadArguments":
        raise_remote(["TypeError", told["plain"], [], [told["server"]], ""], allowed)
    if kind == "NoSuchMethod":
        raise _upstream(f"Endpoint does not support RPC method {method}", "NoSuchMethod", [method], text, allowed)
    if kind == "UnsupportedVersion":
        version = getattr(target, "version", None)
        message = f"Endpoint does not support RPC version {version or '1.0'}. Attempted method: {method}"
        raise _upstream(message, "UnsupportedVersion", [version or "1.0", method], text, allowed)
    if kind == "BadResult":
        raise oslo_messaging.RemoteError("BadResult", text, [])
    if kind == "InvalidTarget":
        raise exceptions.InvalidTarget(text, target)
    if kind == "NoInstance" and at_least_once:
        raise exceptions.MessageUndeliverable(text, target.exchange, _key(target), method)
    undelivered = kind in ("NoInstance", "Refused", "Unreachable")
    if kind in ("Timeout", "MonitorTimeout", "OutcomeUnknown", "Canceled") or (undelivered and waits):
        raise oslo_messaging.MessagingTimeout(text)
    raise oslo_messaging.MessageDeliveryFailure(text)


def _upstream(message: str, name: str, args: list[Any], text: str, allowed: list[str]) -> BaseException:
    """Return the exception that oslo.messaging's dispatcher would have raised."""
    return _rebuild(name, _DISPATCHER, message, [text], args, {}, allowed)


def _key(target: Any) -> str:
    return f"{target.topic}.{target.server}" if target.server else str(target.topic)
