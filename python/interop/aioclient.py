"""The asyncio client of `make interop`: python aioclient.py URL."""

import asyncio
import json
import sys
from typing import Any

import operations
import wire
from ports import EXCEPTIONS

import oslorpc
from oslorpc import aio

running: dict[int, asyncio.Task[None]] = {}


async def do(transport: aio.Transport, r: dict[str, Any]) -> Any:
    """Execute a request, and return the result."""
    client = transport.client(operations.target(r), **operations.settings(r))
    args = (r.get("context"), r["method"])
    kwargs = wire.arguments(r)
    match r["do"]:
        case "call":
            return await client.call(*args, **kwargs)
        case "cast":
            await client.cast(*args, **kwargs)
            return None
        case "fanout":
            return [o.server for o in (await client.fanout(*args, **kwargs)).accepted]
        case "gather":
            results = {}
            async for reply in client.gather(*args, **kwargs):
                if reply.error is not None:
                    raise reply.error
                results[reply.server] = reply.result
            return results
        case "multicall":
            found: list[Any] = []
            async with await client.multicall(*args, **kwargs) as items:
                async for item in items:
                    found.append(item)
                    if len(found) == r.get("take"):
                        break
            return found
    raise ValueError(f"no such verb: {r['do']}")


async def answer(transport: aio.Transport, r: dict[str, Any]) -> None:
    """Execute a request, and write the answer."""
    try:
        wire.write({"id": r["id"], "result": await do(transport, r)})
    except asyncio.CancelledError:
        wire.write({"id": r["id"], "error": {"kind": str(oslorpc.Kind.CANCELED), "safe": False, "message": "canceled"}})
    except BaseException as e:
        wire.write({"id": r["id"], "error": operations.describe(e)})
    finally:
        running.pop(r["id"], None)


async def main(url: str) -> None:
    """Execute the requests on the standard input until it ends."""
    async with aio.open(url, exceptions=EXCEPTIONS, caller="interop-asyncio") as transport:
        while line := await asyncio.to_thread(sys.stdin.readline):
            r = json.loads(line)
            if r["do"] == "cancel":
                if r["of"] in running:
                    running[r["of"]].cancel()
                wire.write({"id": r["id"], "result": None})
            else:
                running[r["id"]] = asyncio.create_task(answer(transport, r))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
