"""Compares calls with raw grpcio's: `make bench-python`.

Both send the same bytes with the same deadline, from threads or from asyncio tasks, to a server in
a separate process. `async` servers run coroutines on an event loop, and `sync` servers run
functions in 64 threads. Raw servers are grpc.aio.server and grpc.server. Raw clients and servers
neither encode nor decode.

Rounds of the two alternate. A line has the median and the quartiles of the ratio ours / raw over
all rounds, and then the median times of ours and raw, in microseconds per call. `wall` is elapsed
time. `cpu` is the processor time of client and server together, which other programs on the machine
disturb less.
"""

from __future__ import annotations

import argparse
import asyncio
import concurrent.futures
import json
import pathlib
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import grpc
import grpc.aio

import oslorpc
from oslorpc import aio
from oslorpc.v1 import rpc_pb2 as pb

PATH = "/oslorpc.v1.RPCService/Call"
TOPIC = "bench"
TEXT = "x" * 256
SERVER = pathlib.Path(__file__).with_name("server.py")


class Server:
    """A server in a separate process."""

    def __init__(self, kind: str) -> None:
        self.process = subprocess.Popen([sys.executable, str(SERVER), kind], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        assert self.address, f"the server {kind} did not start"

    def cpu(self) -> float:
        """Return the processor time that its threads have used so far, in seconds."""
        tasks = pathlib.Path(f"/proc/{self.process.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

    def end(self) -> None:
        """Kill the process."""
        self.process.kill()
        self.process.wait()


def request_bytes() -> bytes:
    """Return the bytes of a request as our client sends them."""
    request = pb.CallRequest()
    m = request.message
    m.target.exchange, m.target.topic, m.method = "openstack", TOPIC, "echo"
    m.kwargs.json = json.dumps({"text": TEXT}, separators=(",", ":"))
    m.id, m.instance_id = "0123456789abcdef.100000", "0123456789abcdef.1"
    return request.SerializeToString()


class Round(NamedTuple):
    """The times of a round in seconds: elapsed, and the processor times of client and server."""

    wall: float
    client: float
    server: float


class Meter:
    """Compares rounds of oslorpc with rounds of raw grpcio."""

    def __init__(self, name: str, calls: int) -> None:
        self._name, self._calls = name, calls
        self._rounds: list[tuple[Round, Round]] = []

    def add(self, ours: Round, raw: Round) -> None:
        """Record a round of each."""
        self._rounds.append((ours, raw))

    def show(self) -> None:
        """Print a line for elapsed times, and one for processor times."""
        wall = [(ours.wall, raw.wall) for ours, raw in self._rounds]
        cpu = [(ours.client + ours.server, raw.client + raw.server) for ours, raw in self._rounds]
        for what, pairs in (("wall", wall), ("cpu", cpu)):
            low, middle, high = statistics.quantiles([ours / raw for ours, raw in pairs], n=4)
            ours, raw = (statistics.median(side) / self._calls * 1e6 for side in zip(*pairs, strict=True))
            print(f"{self._name}-{what:5} {middle:6.3f} {low:6.3f} {high:6.3f} {ours:8.0f} {raw:8.0f}", flush=True)


def threads(kind: str, o: argparse.Namespace) -> None:
    """Compare calls from threads."""
    servers = {"ours": Server(f"ours-{kind}"), "raw": Server(f"raw-{kind}")}
    body, meter = request_bytes(), Meter(f"threads-{kind}-{o.callers}", o.calls)
    with (
        oslorpc.open(f"static://{TOPIC}={servers['ours'].address}") as t,
        grpc.insecure_channel(servers["raw"].address) as channel,
        concurrent.futures.ThreadPoolExecutor(o.callers) as pool,
    ):
        client, method = t.client(oslorpc.Target(topic=TOPIC)), channel.unary_unary(PATH)
        assert client.call({}, "echo", text=TEXT) == TEXT
        calls: dict[str, Callable[[], object]] = {
            "ours": lambda: client.call({}, "echo", text=TEXT),
            "raw": lambda: method(body, timeout=60),
        }

        def loop(call: Callable[[], object]) -> None:
            for _ in range(o.calls // o.callers):
                call()

        def measure(side: str) -> Round:
            wall, cpu, far = time.perf_counter(), time.process_time(), servers[side].cpu()
            for future in [pool.submit(loop, calls[side]) for _ in range(o.callers)]:
                future.result()
            return Round(time.perf_counter() - wall, time.process_time() - cpu, servers[side].cpu() - far)

        for n in range(o.rounds + 1):
            done = {side: measure(side) for side in (("ours", "raw") if n % 2 else ("raw", "ours"))}
            if n:  # the first round warms up
                meter.add(done["ours"], done["raw"])
    meter.show()
    for server in servers.values():
        server.end()


async def tasks(kind: str, o: argparse.Namespace) -> None:
    """Compare calls from asyncio tasks."""
    servers = {"ours": Server(f"ours-{kind}"), "raw": Server(f"raw-{kind}")}
    body, meter = request_bytes(), Meter(f"tasks-{kind}-{o.callers}", o.calls)
    async with (
        aio.open(f"static://{TOPIC}={servers['ours'].address}") as t,
        grpc.aio.insecure_channel(servers["raw"].address) as channel,
    ):
        client, method = t.client(oslorpc.Target(topic=TOPIC)), channel.unary_unary(PATH)
        assert await client.call({}, "echo", text=TEXT) == TEXT
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "ours": lambda: client.call({}, "echo", text=TEXT),
            "raw": lambda: method(body, timeout=60),
        }

        async def loop(call: Callable[[], Awaitable[object]]) -> None:
            for _ in range(o.calls // o.callers):
                await call()

        async def measure(side: str) -> Round:
            wall, cpu, far = time.perf_counter(), time.process_time(), servers[side].cpu()
            await asyncio.gather(*(loop(calls[side]) for _ in range(o.callers)))
            return Round(time.perf_counter() - wall, time.process_time() - cpu, servers[side].cpu() - far)

        for n in range(o.rounds + 1):
            done = {side: await measure(side) for side in (("ours", "raw") if n % 2 else ("raw", "ours"))}
            if n:
                meter.add(done["ours"], done["raw"])
    meter.show()
    for server in servers.values():
        server.end()


def main() -> None:
    """Run the comparisons."""
    parser = argparse.ArgumentParser(description="Compare calls with raw grpcio's.")
    parser.add_argument("--rounds", type=int, default=31, help="how often each side runs")
    parser.add_argument("--calls", type=int, default=1600, help="how many calls there are in a round")
    parser.add_argument("--callers", type=int, default=16, help="how many call at once")
    parser.add_argument("--only", default="", help="run only the lines whose name has this text")
    o = parser.parse_args()
    print(f"{'name':22} median     q1     q3  ours-us   raw-us")
    for kind in ("async", "sync"):
        if o.only in f"threads-{kind}":
            threads(kind, o)
        if o.only in f"tasks-{kind}":
            asyncio.run(tasks(kind, o))


if __name__ == "__main__":
    main()
