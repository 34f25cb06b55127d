"""The oslo.messaging client of `make interop`: python client.py URL."""

import json
import sys
import threading
from typing import Any

import oslo_messaging as om
import service
import wire
from ports import PortNotFound


def do(transport: om.Transport, r: dict[str, Any]) -> Any:
    """Execute a request, and return the result."""
    target = om.Target(topic=r["topic"], server=r.get("server") or None, version=r.get("version") or None)
    client = om.get_rpc_client(
        transport, target, timeout=r.get("timeout") or None, call_monitor_timeout=r.get("monitor") or None
    )
    args = (r.get("context") or {}, r["method"])
    kwargs = wire.arguments(r)
    match r["do"]:
        case "call":
            return client.call(*args, **kwargs)
        case "cast":
            client.cast(*args, **kwargs)
            return None
        case "fanout":
            client.prepare(fanout=True).cast(*args, **kwargs)
            return None
    raise ValueError(f"no such verb: {r['do']}")


def describe(error: BaseException) -> dict[str, Any]:
    """Describe the error of an operation.

    oslo.messaging rebuilds an exception as a subclass with the same name and "_Remote".
    """
    described: dict[str, Any] = {
        "kind": type(error).__name__.removesuffix("_Remote"),
        "safe": False,
        "message": str(error),
        "text": str(error).split("\n", 1)[0],
        "hops": getattr(error, "oslorpc_hops", None),
    }
    if isinstance(error, om.RemoteError):
        described.update(type=error.exc_type, text=error.value)
    if isinstance(error, PortNotFound):
        described.update({"class": "PortNotFound", "port": error.kwargs["port"]})
    return described


def answer(transport: om.Transport, r: dict[str, Any]) -> None:
    """Execute a request, and write the answer."""
    try:
        wire.write({"id": r["id"], "result": do(transport, r)})
    except BaseException as e:
        wire.write({"id": r["id"], "error": describe(e)})


def main(url: str) -> None:
    """Execute the requests on the standard input until it ends."""
    transport = service.open_transport(url)
    for line in sys.stdin:
        threading.Thread(target=answer, args=(transport, json.loads(line)), daemon=True).start()
    transport.cleanup()


if __name__ == "__main__":
    main(*sys.argv[1:])
