"""A server for the tests: python serverprogram.py sync|aio URL TOPIC NAME [VERSION].

It ends at SIGTERM, gracefully.
"""

import asyncio
import logging
import os
import signal
import sys

import oslorpc
from oslorpc import aio


class PortNotFound(Exception):  # noqa: N818
    """A registered exception."""

    def __init__(self, port):
        super().__init__(f"no port {port}")
        self.port = port


class Methods:
    """The methods of the test servers in Go's command line, and others."""

    def __init__(self, name, version):
        self.name = name
        self.target = oslorpc.Target(version=version)
        self.ran = []

    def add(self, ctxt, a: int, b: int):
        return a + b

    def echo(self, ctxt, **kwargs):
        return kwargs

    def sleep(self, ctxt, seconds: float):
        os.write(1, b"sleeping\n")
        ctxt.wait_canceled(seconds)
        print("canceled" if ctxt.canceled else "slept", flush=True)

    def fail(self, ctxt, message: str = "failed"):
        raise ValueError(message)

    def missing(self, ctxt, port: int):
        raise PortNotFound(port)

    def whoami(self, ctxt):
        return {"server": self.name, "pid": os.getpid()}

    def context(self, ctxt):
        return dict(ctxt)

    def count(self, ctxt, n: int):
        yield from range(1, n + 1)

    def note(self, ctxt, id: str):
        os.write(1, f"ran {id}\n".encode())  # a single write, so that lines of several threads do not mix
        return id

    def large(self, ctxt, size: int):
        return "x" * size

    def unsendable(self, ctxt):
        return {"a": [1, float("nan")]}


class AsyncMethods(Methods):
    """The same methods as coroutines."""

    async def add(self, ctxt, a: int, b: int):
        return a + b

    async def echo(self, ctxt, **kwargs):
        return kwargs

    async def sleep(self, ctxt, seconds: float):
        print("sleeping", flush=True)
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            print("canceled", flush=True)
            raise
        print("slept", flush=True)

    async def fail(self, ctxt, message: str = "failed"):
        raise ValueError(message)

    async def count(self, ctxt, n: int):
        for i in range(1, n + 1):
            yield i

    async def note(self, ctxt, id: str):
        os.write(1, f"ran {id}\n".encode())  # a single write, so that lines of several threads do not mix
        return id


class Other:
    """An interface in another namespace, at another major version."""

    target = oslorpc.Target(namespace="other", version="2.1")

    def hello(self, ctxt):
        return "hello"


EXCEPTIONS = {"ports.NotFound": PortNotFound}


def blocking(url, topic, name, version):
    with oslorpc.open(url, exceptions=EXCEPTIONS) as t:
        server = t.server(oslorpc.Target(topic=topic, server=name), [Methods(name, version), Other()])
        server.run(lambda i: print("ready", i.addr, flush=True))
    print("ended", flush=True)


async def awaited(url, topic, name, version):
    ending = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    async with aio.open(url, exceptions=EXCEPTIONS) as t:
        server = t.server(oslorpc.Target(topic=topic, server=name), [AsyncMethods(name, version), Other()])
        instance = await server.start()
        print("ready", instance.addr, flush=True)
        await ending.wait()
        await server.stop(25)
    print("ended", flush=True)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    kind, url, topic, name, *rest = sys.argv[1:]
    version = rest[0] if rest else "1.0"
    if kind == "aio":
        asyncio.run(awaited(url, topic, name, version))
    else:
        blocking(url, topic, name, version)
