"""Servers that are attached to a gateway, because no other process can connect to them."""

import asyncio
import contextlib
import threading

import pytest
from conftest import until
from relay import Relay

import oslorpc
from oslorpc import aio
from oslorpc.interceptor import Interceptor


class Worker:
    """The methods of a server."""

    def __init__(self, name):
        self.name, self.seen = name, []
        self.running, self.go = threading.Event(), threading.Event()

    def whoami(self, context):
        return self.name

    def echo(self, context, text):
        return text

    def wait(self, context):
        self.running.set()
        assert self.go.wait(30)
        return "done"

    def note(self, context, id):
        self.seen.append(id)

    def count(self, context, n):
        yield from range(n)


@pytest.fixture
def relays():
    running = []

    def begin(**options):
        relay = Relay(f"relay{len(running)}", **options)
        running.append(relay)
        return relay

    yield begin
    for relay in running:
        relay.stop()


def gateways(*relays):
    return "gateway://" + ",".join(r.addr for r in relays)


def shown(relay):
    return sorted(i.server for i in relay.instances)


@pytest.fixture
def attach(topic, opened):
    """A function that starts an attached server: only its URL differs from other servers."""

    def start(url, name="a", **options):
        worker = Worker(name)
        server = opened(url, **options).server(oslorpc.Target(topic=topic, server=name), [worker])
        server.start()
        return worker, server

    return start


def test_attached_servers_serve(relays, attach, opened, topic):
    relay = relays()
    a, server = attach(gateways(relay))
    b, _ = attach(gateways(relay), "b")
    client = opened(gateways(relay)).client(oslorpc.Target(topic=topic), timeout=30)
    assert {client.call({}, "whoami") for _ in range(4)} == {"a", "b"}
    assert client.prepare(server="b").call({}, "whoami") == "b"
    report = client.fanout({}, "note", id="all")
    assert sorted(o.server for o in report.accepted) == ["a", "b"]
    until("both ran it", lambda: a.seen == b.seen == ["all"])
    assert list(client.multicall({}, "count", n=3)) == [0, 1, 2]
    long = "x" * 3_000_000
    assert client.call({}, "echo", text=long) == long
    server.drain()
    assert {i.server: i.state for i in relay.instances} == {"a": "draining", "b": "active"}
    server.stop()
    assert shown(relay) == ["b"]
    server.start()
    assert client.prepare(server="a").call({}, "whoami") == "a"


def test_asyncio_server(relays, topic, opened):
    relay = relays()

    async def work():
        async with aio.open(gateways(relay)) as t:
            server = t.server(oslorpc.Target(topic=topic, server="a"), [Worker("a")])
            await server.start()
            assert await t.client(oslorpc.Target(topic=topic), timeout=20).call({}, "whoami") == "a"
            await server.stop()
            assert shown(relay) == []

    asyncio.run(work())


@pytest.mark.parametrize("kind", ["sync", "aio"])
def test_the_process_ends(relays, opened, topic, start, kind):
    """While one of two processes ends, no call fails: its last answers arrive."""
    relay = relays()
    servers = {name: start(kind, gateways(relay), topic, name) for name in "ab"}
    client = opened(gateways(relay)).client(oslorpc.Target(topic=topic), timeout=60)
    ended = threading.Event()
    failures, done = [], []

    def calls():
        while not ended.is_set():
            try:
                done.append(client.call({}, "add", a=1, b=1))
            except oslorpc.Error as e:
                failures.append(e)

    callers = [threading.Thread(target=calls) for _ in range(4)]
    for caller in callers:
        caller.start()
    until("calls run", lambda: len(done) > 20, 60)
    assert servers["a"].end() == 0, servers["a"].output
    before = len(done)
    until("calls go on", lambda: len(done) > before + 20, 60)
    ended.set()
    for caller in callers:
        caller.join(60)
    assert not failures, failures[:3]
    assert shown(relay) == ["b"]


def test_a_gateway_dies(relays, attach):
    """The servers attach to the other gateway."""
    both = [relays(), relays()]
    attach(gateways(*both))
    used, other = both if both[0].instances else reversed(both)
    used.stop()
    until("it is attached to the other", lambda: shown(other) == ["a"])


def test_a_gateway_is_about_to_stop(relays, attach, opened, topic):
    """The servers attach to another gateway before this one stops, and finish their messages."""
    both = [relays(), relays()]
    worker, _ = attach(gateways(*both))
    used, other = both if both[0].instances else reversed(both)
    client = opened(gateways(used)).client(oslorpc.Target(topic=topic), timeout=30)
    results = []
    caller = threading.Thread(target=lambda: results.append(client.call({}, "wait")))
    caller.start()
    assert worker.running.wait(20)
    used.close_tunnels()
    until("it has moved", lambda: shown(other) == ["a"] and shown(used) == [])
    worker.go.set()
    caller.join(20)
    assert results == ["done"]


def test_the_only_gateway_starts_again(relays, attach, opened, topic):
    first = relays()
    attach(gateways(first))
    port = int(first.addr.rpartition(":")[2])
    first.stop()
    second = relays(port=port)
    until("it is attached again", lambda: shown(second) == ["a"])
    client = opened(gateways(second)).client(oslorpc.Target(topic=topic), timeout=20)
    assert client.call({}, "whoami") == "a"


def test_refusals(relays, attach):
    relay = relays()
    relay.denies = oslorpc.Error(oslorpc.Kind.ACCESS_DENIED, "the policy denies this", safe_to_retry=True)
    with pytest.raises(oslorpc.Error, match="the policy denies this") as e:
        attach(gateways(relay))
    assert e.value.kind is oslorpc.Kind.ACCESS_DENIED and relay.addr in str(e.value)
    relay.attaches = False
    with pytest.raises(oslorpc.Error, match="start it with --attach"):
        attach(gateways(relay), "b")
    gone = relays()
    gone.stop()
    with pytest.raises(oslorpc.Error) as e:
        attach(gateways(gone), "c")
    assert e.value.kind is oslorpc.Kind.UNREACHABLE and gone.addr in str(e.value)
    with pytest.raises(oslorpc.Error, match="does not listen"):
        attach(gateways(relay), "d", listen="127.0.0.1:0")


def test_the_socket_proves_nothing(relays, attach, opened, topic):
    """The user who owns the socket is not the identity of callers through the gateway."""
    relay = relays()
    seen = []

    attach(gateways(relay), interceptors=[Interceptor(accept=lambda m: seen.append(m.peer.identity))])
    client = opened(gateways(relay)).client(oslorpc.Target(topic=topic), timeout=20)
    assert client.call({}, "whoami") == "a"
    assert seen and all(i.names == () for i in seen), seen


def test_the_server_dies(relays, attach, opened, topic):
    """Callers of the messages that it ran get OutcomeUnknown at once."""
    relay = relays()
    worker, _ = attach(gateways(relay))
    client = opened(gateways(relay)).client(oslorpc.Target(topic=topic), timeout=30)
    caught = []

    def call():
        with contextlib.suppress(oslorpc.Error):
            try:
                client.call({}, "wait")
            except oslorpc.Error as e:
                caught.append(e)
                raise

    caller = threading.Thread(target=call)
    caller.start()
    assert worker.running.wait(20)
    relay.tunnels[0].end()
    caller.join(10)
    worker.go.set()
    assert caught and caught[0].kind is oslorpc.Kind.OUTCOME_UNKNOWN and not caught[0].safe_to_retry
