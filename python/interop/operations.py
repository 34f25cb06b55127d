"""Functions that the blocking and the asyncio client of `make interop` share."""

from typing import Any

from ports import PortNotFound

import oslorpc


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
