"""A server for compare.py: python server.py KIND.

It prints its address, and serves until it is killed.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import sys
import threading
from typing import Any

import grpc
import grpc.aio

import oslorpc
from oslorpc import aio
from oslorpc.v1 import rpc_pb2 as pb

PATH = "/oslorpc.v1.RPCService/Call"
WORKERS = 64
ANSWER = pb.CallResponse()
ANSWER.result.json = '"' + "x" * 256 + '"'
BYTES = ANSWER.SerializeToString()


class Sync:
    def echo(self, ctxt: Any, text: str) -> str:
        return text


class Async:
    async def echo(self, ctxt: Any, text: str) -> str:
        return text


class Handler(grpc.GenericRpcHandler):
    def __init__(self, run: Any) -> None:
        self._method = grpc.unary_unary_rpc_method_handler(run)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        return self._method if handler_call_details.method == PATH else None


def raw_sync(address: str) -> None:
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(WORKERS), options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((Handler(lambda request, context: BYTES),))
    port = server.add_insecure_port(address)
    server.start()
    print(f"127.0.0.1:{port}", flush=True)
    threading.Event().wait()


async def raw_async(address: str) -> None:
    async def run(request: bytes, context: Any) -> bytes:
        return BYTES

    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((Handler(run),))
    port = server.add_insecure_port(address)
    await server.start()
    print(f"127.0.0.1:{port}", flush=True)
    await asyncio.Event().wait()


def ours_sync(address: str) -> None:
    with oslorpc.open("static://other=127.0.0.1:1", listen=address) as t:
        print(t.server(oslorpc.Target(topic="bench", server="a"), [Sync()], workers=WORKERS).start().addr, flush=True)
        threading.Event().wait()


async def ours_async(address: str) -> None:
    async with aio.open("static://other=127.0.0.1:1", listen=address) as t:
        instance = await t.server(oslorpc.Target(topic="bench", server="a"), [Async()], workers=WORKERS).start()
        print(instance.addr, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    kind, address = sys.argv[1], "127.0.0.1:0"
    if kind == "raw-sync":
        raw_sync(address)
    elif kind == "ours-sync":
        ours_sync(address)
    else:
        asyncio.run(raw_async(address) if kind == "raw-async" else ours_async(address))
