"""Servers that are held, drained, full and stopped, and the order of their messages."""

import asyncio
import concurrent.futures
import threading
import time

import pytest
from conftest import until

import oslorpc
from oslorpc import aio
from oslorpc.errors import Kind


class Gate:
    """Methods that wait until the test releases them."""

    def __init__(self):
        self.open = threading.Event()
        self.running = 0
        self.ran = []
        self.lock = threading.Lock()

    def wait(self, ctxt, id: int = 0):
        with self.lock:
            self.running += 1
        self.open.wait(20)
        with self.lock:
            self.running -= 1
            self.ran.append(id)
        return id

    def nap(self, ctxt, id: int = 0):
        with self.lock:
            self.running += 1
            assert self.running == 1, "messages with one key ran beside each other"
        time.sleep(0.002)
        with self.lock:
            self.running -= 1
            self.ran.append(id)

    def until_canceled(self, ctxt):
        return ctxt.wait_canceled(20)

    def remaining(self, ctxt):
        return ctxt.remaining

    def about(self, ctxt):
        return [ctxt.method, ctxt.server, ctxt.version, bool(ctxt.message_id), ctxt.caller, ctxt.metadata]


@pytest.fixture
def served(opened, local, topic):
    def begin(**options):
        gate = Gate()
        transport = opened(local)
        server = transport.server(oslorpc.Target(topic=topic, server="a"), [gate], **options)
        server.start()
        return gate, server, opened(local, caller="tester").client(oslorpc.Target(topic=topic), timeout=10)

    return begin


def threads_of(name):
    return sum(name in t.name for t in threading.enumerate())


def test_messages_that_wait_cost_no_threads(served):
    gate, _, client = served(workers=2, queue=500)
    for n in range(300):
        client.cast({}, "wait", id=n)
    until("two run", lambda: gate.running == 2)
    assert threads_of("oslorpc-a") == 2
    gate.open.set()
    until("all ran", lambda: len(gate.ran) == 300)
    assert sorted(gate.ran) == list(range(300))


def test_a_full_server_refuses(served):
    gate, _, client = served(workers=1, queue=2)
    for n in range(3):
        client.cast({}, "wait", id=n)
    with pytest.raises(oslorpc.Error) as e:
        client.prepare(timeout=2).call({}, "wait", id=9)
    assert (e.value.kind, e.value.safe_to_retry, e.value.reason) == (Kind.REFUSED, True, "full")
    with pytest.raises(oslorpc.Error) as e:
        client.prepare(retry=1).cast({}, "wait", id=9)
    assert e.value.kind is Kind.REFUSED
    report = client.fanout({}, "wait", id=9)
    assert report.failed[0].error.reason == "full"
    gate.open.set()
    until("the accepted ones ran", lambda: sorted(gate.ran) == [0, 1, 2])


def test_order_keys(served):
    gate, _, client = served(workers=8)
    keyed = client.prepare(order_key="port-7")
    for n in range(50):
        keyed.cast({}, "nap", id=n)
    until("all ran", lambda: len(gate.ran) == 50)
    assert gate.ran == list(range(50))


def test_a_call_whose_deadline_passes_in_the_queue_is_not_started(served):
    gate, _, client = served(workers=1)
    client.cast({}, "wait", id=1)
    until("it runs", lambda: gate.running == 1)
    with pytest.raises(oslorpc.Error) as e:
        client.prepare(timeout=0.3).call({}, "wait", id=2)
    assert e.value.kind is Kind.TIMEOUT
    time.sleep(0.1)
    gate.open.set()
    until("the first ran", lambda: gate.ran == [1])
    time.sleep(0.1)
    assert gate.ran == [1]


def test_held_and_released(served, run, local, topic):
    gate, server, client = served(hold=True)
    gate.open.set()
    client.prepare(server="a").cast({}, "wait", id=5)
    assert client.fanout({}, "wait", id=6).accepted
    time.sleep(0.2)
    assert gate.ran == []
    assert "held" in run(local, "ls")[1]
    server.release()
    until("it runs", lambda: sorted(gate.ran) == [5, 6])
    assert client.call({}, "wait", id=7) == 7
    until("it is active", lambda: "active" in run(local, "ls")[1])


def test_drained_and_resumed(served, run, local):
    gate, server, client = served()
    gate.open.set()
    assert client.call({}, "wait") == 0
    server.drain()
    until("it is seen to drain", lambda: client.fanout({}, "wait").skipped)
    with pytest.raises(oslorpc.Error) as e:
        client.prepare(timeout=0.5).call({}, "wait")
    assert e.value.kind is Kind.NO_INSTANCE and "drains" in str(e.value)
    assert client.prepare(server="a").call({}, "wait", id=3) == 3
    assert "draining" in run(local, "ls")[1]
    server.resume()
    assert client.call({}, "wait", id=4) == 4


def test_a_graceful_stop_finishes_what_was_accepted(served):
    gate, server, client = served(workers=1)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        running = pool.submit(client.call, {}, "wait", id=1)
        until("it runs", lambda: gate.running == 1)
        for n in range(2, 5):
            client.cast({}, "wait", id=n)
        stopping = pool.submit(server.stop)
        time.sleep(1)
        with pytest.raises(oslorpc.Error) as e:
            client.prepare(server="a", timeout=0.5).call({}, "wait", id=9)
        assert e.value.safe_to_retry
        gate.open.set()
        assert running.result(10) == 1
        stopping.result(10)
    assert sorted(gate.ran) == [1, 2, 3, 4]
    server.start()
    assert client.call({}, "wait", id=5) == 5


def test_a_stop_by_force(served):
    _, server, client = served()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        running = pool.submit(client.call, {}, "until_canceled")
        time.sleep(0.5)
        with pytest.raises(oslorpc.Error) as e:
            server.stop(timeout=1)
        assert e.value.kind is Kind.TIMEOUT
        assert running.result(10) is True  # the method saw that it was canceled


def test_cancellation_reaches_the_method(local, topic):
    """An asyncio caller that gives up cancels the method at the server."""
    canceled = []

    class Methods:
        async def hang(self, ctxt):
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                canceled.append(True)
                raise

    async def main():
        async with aio.open(local) as t:
            await t.server(oslorpc.Target(topic=topic, server="a"), [Methods()]).start()
            client = t.client(oslorpc.Target(topic=topic))
            task = asyncio.ensure_future(client.call({}, "hang"))
            await asyncio.sleep(0.5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            for _ in range(200):
                if canceled:
                    break
                await asyncio.sleep(0.02)
            assert canceled

    asyncio.run(main())


def test_methods_know_their_message(served):
    _, _, client = served()
    remaining = client.call({}, "remaining")
    assert 5 < remaining <= 10
    about = client.prepare(metadata={"traceparent": "00-1"}).call({}, "about")
    assert about == ["about", "a", "", True, "tester", {"traceparent": "00-1"}]


def test_nested_failures_keep_their_hops(opened, local, topic):
    t = opened(local)

    class Inner:
        def fail(self, ctxt):
            raise KeyError("gone")

    class Outer:
        def fail(self, ctxt):
            return t.client(oslorpc.Target(topic=topic, server="inner")).call(ctxt, "fail")

        def absent(self, ctxt):
            t.client(oslorpc.Target(topic=topic, server="nobody"), fail_fast=True).call(ctxt, "x")

    t.server(oslorpc.Target(topic=topic, server="inner"), [Inner()]).start()
    t.server(oslorpc.Target(topic=topic, server="outer"), [Outer()]).start()
    client = t.client(oslorpc.Target(topic=topic, server="outer"))
    with pytest.raises(oslorpc.RemoteError) as e:
        client.call({}, "fail")
    assert (e.value.type, e.value.hops, e.value.server) == ("KeyError", ("inner", "outer"), "outer")
    with pytest.raises(oslorpc.RemoteError) as e:
        client.call({}, "absent")
    assert e.value.type == "oslorpc.NoInstance" and not e.value.safe_to_retry


def test_endpoints_must_be_sensible(opened, local):
    t = opened(local)

    class NoContext:
        def method(self):
            pass

    class BadVersion:
        target = oslorpc.Target(version="one")

    for endpoint in (NoContext(), BadVersion()):
        with pytest.raises(oslorpc.Error) as e:
            t.server(oslorpc.Target(topic="t", server="s"), [endpoint])
        assert e.value.kind is Kind.INVALID
    for target in (oslorpc.Target(topic="t"), oslorpc.Target(server="s")):
        with pytest.raises(oslorpc.Error) as e:
            t.server(target, [])
        assert e.value.kind is Kind.INVALID_TARGET
