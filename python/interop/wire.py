"""The line protocol of `make interop`: JSON values, one on each line. internal/interop/wire describes it."""

import json
import os
import threading
from typing import Any

from ports import PortNotFound

import oslorpc

_writing = threading.Lock()


def write(value: dict[str, Any]) -> None:
    """Write a value to the standard output, as one line."""
    line = (json.dumps(value) + "\n").encode()
    with _writing:
        while line:
            line = line[os.write(1, line) :]


def event(name: str, note: str = "") -> None:
    """Report an event of a server."""
    write({"event": name, "note": note})


def arguments(request: dict[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments of a request."""
    args: dict[str, Any] = request.get("args") or {}
    if request.get("fill"):
        args["text"] = "x" * request["fill"]
    return args


def target(request: dict[str, Any]) -> oslorpc.Target:
    """Return the target of a request."""
    return oslorpc.Target(
        topic=request["topic"], server=request.get("server") or None, version=request.get("version") or None
    )


def settings(request: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a client for a request."""
    found = {"timeout": request.get("timeout"), "call_monitor_timeout": request.get("monitor")}
    return {name: value for name, value in found.items() if value}


def describe(error: BaseException) -> dict[str, Any]:
    """Describe the error of an operation."""
    kind = oslorpc.kind_of(error)
    described: dict[str, Any] = {
        "kind": str(kind) if kind else type(error).__name__,
        "safe": oslorpc.safe_to_retry(error),
        "message": str(error),
    }
    cause = error if isinstance(error, oslorpc.Error) else error.__cause__
    if isinstance(cause, oslorpc.Error):
        described["server"] = cause.server
    if isinstance(cause, oslorpc.RemoteError):
        described.update(type=cause.type, text=cause.remote_message, hops=cause.hops)
    if isinstance(error, PortNotFound):
        described.update({"class": "PortNotFound", "port": error.port})
    return described
