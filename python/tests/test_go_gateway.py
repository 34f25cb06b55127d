"""Real gateways: clients reach the fleet only through them, and servers attach to them."""

import asyncio
import json
import signal
import threading

import pytest
from conftest import Process, free_ports, until

import oslorpc
from oslorpc import aio
from oslorpc.errors import Kind


@pytest.fixture
def gateway(go, local):
    """A function that starts gateways of the fleet in the local registry."""
    running = []

    def begin(port=None):
        port = port or free_ports(1)[0]
        p = Process(
            go, "--transport", local, "gateway", "--listen", f"127.0.0.1:{port}", "--attach", "--server", f"g{port}"
        )
        running.append(p)
        p.await_line("is ready at")
        p.addr = f"127.0.0.1:{port}"
        return p

    yield begin
    for p in running:
        p.end(signal.SIGKILL)


def answered(client, names):
    seen = set()

    def check():
        seen.add(client.call({}, "whoami")["server"])
        return seen == set(names)

    return check


@pytest.mark.parametrize("attached", [False, True])
@pytest.mark.parametrize("kind", ["go", "sync", "aio"])
def test_deliveries(gateway, start, opened, run, local, topic, kind, attached):
    url = "gateway://" + gateway().addr
    for name in "ab":
        start(kind, url if attached else local, topic, name)
    t = opened(url)
    client = t.client(oslorpc.Target(topic=topic), timeout=30)
    until("both answer", answered(client, "ab"))
    assert client.call({}, "add", a=1, b=2**70) == 1 + 2**70
    assert client.prepare(server="b").call({}, "whoami")["server"] == "b"
    client.cast({}, "echo", x=1)
    assert sorted(o.server for o in client.fanout({}, "echo", x=1).accepted) == ["a", "b"]
    assert sorted(r.result["server"] for r in client.gather({}, "whoami")) == ["a", "b"]
    assert list(client.multicall({}, "count", n=5)) == [1, 2, 3, 4, 5]
    assert client.prepare(call_monitor_timeout=1).call({}, "sleep", seconds=2) is None
    assert client.call({}, "echo", text="x" * (1 << 20))["text"] == "x" * (1 << 20)
    with pytest.raises(oslorpc.RemoteError, match="oh") as e:
        client.call({}, "fail", message="oh")
    assert e.value.hops == (e.value.server,) and e.value.server in "ab"
    for method, kwargs, wanted in [
        ("add", {"a": 1}, Kind.BAD_ARGUMENTS),
        ("subtract", {}, Kind.NO_SUCH_METHOD),
    ]:
        with pytest.raises(oslorpc.Error) as e:
            client.call({}, method, **kwargs)
        assert (e.value.kind, e.value.safe_to_retry) == (wanted, True)
    with pytest.raises(oslorpc.Error) as e:
        client.prepare(version="9.0").call({}, "add", a=1, b=2)
    assert e.value.kind is Kind.UNSUPPORTED_VERSION and e.value.safe_to_retry
    assert {i.server for i in t.instances() if i.topic == topic} == {"a", "b"}
    code, out, err = run(url, "call", topic, "whoami", "--server", "a")
    assert code == 0 and json.loads(out)["server"] == "a", err
    if attached:  # other programs see them in discovery
        direct = opened(local).client(oslorpc.Target(topic=topic), timeout=30)
        assert direct.prepare(server="b").call({}, "whoami")["server"] == "b"

    async def work():
        async with aio.open(url) as t:
            client = t.client(oslorpc.Target(topic=topic), timeout=30)
            assert await client.call({}, "add", a=1, b=2) == 3
            assert sorted([r.server async for r in client.gather({}, "whoami")]) == ["a", "b"]

    asyncio.run(work())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("attached", [False, True])
def test_one_of_two_gateways_ends(gateway, start, opened, local, topic, number, attached):
    """No call fails when a gateway ends gracefully.

    When it is killed, each call has a result, or an error that says whether it may have run.
    """
    first, second = gateway(), gateway()
    url = f"gateway://{first.addr},{second.addr}"
    servers = [start("sync", url if attached else local, topic, name) for name in "ab"]
    clients = [opened(url).client(oslorpc.Target(topic=topic), timeout=60) for _ in range(4)]
    ended, failures, done = threading.Event(), [], []

    def calls(client, n):
        count = 0
        while not ended.is_set():
            count += 1
            try:
                done.append(client.call({}, "note", id=f"{n}-{count}"))
            except oslorpc.Error as e:
                failures.append(e)

    callers = [threading.Thread(target=calls, args=(client, n)) for n, client in enumerate(clients)]
    for caller in callers:
        caller.start()
    until("calls run", lambda: len(done) > 20, 60)
    first.end(number)
    before = len(done)
    until("calls go on", lambda: len(done) > before + 40, 60)
    ended.set()
    for caller in callers:
        caller.join(60)
    if number == signal.SIGTERM:
        assert not failures, failures[:3]
    assert all(e.kind is Kind.OUTCOME_UNKNOWN for e in failures), failures[:3]
    for server in servers:
        assert server.end() == 0
    ran = [line for server in servers for line in server.output if line.startswith("ran ")]
    assert len(ran) == len(set(ran)), "a message ran twice"
    assert len(done) <= len(ran) <= len(done) + len(failures)
