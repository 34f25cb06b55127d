"""The blocking client of `make interop`: python client.py URL."""

import contextlib
import itertools
import json
import sys
import threading
from typing import Any

import operations
import wire
from ports import EXCEPTIONS

import oslorpc


def do(transport: oslorpc.Transport, r: dict[str, Any]) -> Any:
    """Execute a request, and return the result."""
    client = transport.client(operations.target(r), **operations.settings(r))
    args = (r.get("context"), r["method"])
    kwargs = wire.arguments(r)
    match r["do"]:
        case "call":
            return client.call(*args, **kwargs)
        case "cast":
            client.cast(*args, **kwargs)
            return None
        case "fanout":
            return [o.server for o in client.fanout(*args, **kwargs).accepted]
        case "gather":
            results = {}
            for reply in client.gather(*args, **kwargs):
                if reply.error is not None:
                    raise reply.error
                results[reply.server] = reply.result
            return results
        case "multicall":
            with contextlib.closing(client.multicall(*args, **kwargs)) as items:
                return list(itertools.islice(items, r.get("take") or None))
    raise ValueError(f"no such verb: {r['do']}")


def answer(transport: oslorpc.Transport, r: dict[str, Any]) -> None:
    """Execute a request, and write the answer."""
    try:
        wire.write({"id": r["id"], "result": do(transport, r)})
    except BaseException as e:
        wire.write({"id": r["id"], "error": operations.describe(e)})


def main(url: str) -> None:
    """Execute the requests on the standard input until it ends."""
    with oslorpc.open(url, exceptions=EXCEPTIONS, caller="interop-python") as transport:
        for line in sys.stdin:
            threading.Thread(target=answer, args=(transport, json.loads(line)), daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
