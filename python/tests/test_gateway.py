"""Clients that reach the fleet only through gateways."""

import asyncio
import contextlib
import threading

import pytest
from conftest import until
from relay import Relay

import oslorpc
from oslorpc import aio, errors


@pytest.fixture
def relays():
    running = []

    def begin(*instances, **options):
        relay = Relay(f"relay{len(running)}", **options)
        relay.show(*instances)
        running.append(relay)
        return relay

    yield begin
    for relay in running:
        relay.holds.set()
        relay.stop()


@pytest.fixture
def fleet(opened, local, topic, start):
    """The instances of two servers, a and b, as discovery lists them."""
    for name in "ab":
        start("aio", local, topic, name)
    listed = opened(local).instances
    until("both are listed", lambda: len(listed()) == 2)
    return sorted(listed(), key=lambda i: i.server)


def gateways(*relays):
    return "gateway://" + ",".join(r.addr for r in relays)


def test_client(relays, fleet, opened, topic):
    relay = relays(*fleet)
    t = opened(gateways(relay))
    client = t.client(oslorpc.Target(topic=topic), timeout=20)
    assert client.call({}, "add", a=1, b=2**70) == 1 + 2**70
    assert {client.call({}, "whoami")["server"] for _ in range(4)} == {"a", "b"}
    assert client.prepare(server="b").call({}, "whoami")["server"] == "b"
    client.cast({}, "note", id="one")
    assert sorted(o.server for o in client.fanout({}, "note", id="all").accepted) == ["a", "b"]
    assert sorted(r.result["server"] for r in client.gather({}, "whoami")) == ["a", "b"]
    assert list(client.multicall({}, "count", n=3)) == [1, 2, 3]
    assert client.prepare(call_monitor_timeout=5).call({}, "add", a=1, b=1) == 2
    assert sorted(i.server for i in t.instances()) == ["a", "b"]
    assert {i.addr for i in t.instances()} == {relay.addr}
    with pytest.raises(oslorpc.RemoteError) as e:
        client.call({}, "fail", message="no")
    assert e.value.hops in (("a",), ("b",)) and e.value.server in "ab"
    with pytest.raises(oslorpc.Error) as e:
        client.prepare(server="c").call({}, "whoami")
    assert e.value.kind is oslorpc.Kind.NO_INSTANCE and e.value.safe_to_retry
    assert all(id in {i.id for i in fleet} for _, id in relay.passed)


def test_asyncio(relays, fleet, topic):
    relay = relays(*fleet)

    async def work():
        async with aio.open(gateways(relay)) as t:
            client = t.client(oslorpc.Target(topic=topic), timeout=20)
            assert await client.call({}, "add", a=1, b=2) == 3
            assert len((await client.fanout({}, "note", id="all")).accepted) == 2
            assert sorted([r.server async for r in client.gather({}, "whoami")]) == ["a", "b"]
            assert [n async for n in await client.multicall({}, "count", n=3)] == [1, 2, 3]
            assert len(await t.instances()) == 2

    asyncio.run(work())


def test_a_gateway_is_lost(relays, fleet, opened, topic):
    """The next call goes through the other gateway. A message in flight is not sent again."""
    both = [relays(*fleet), relays(*fleet)]
    client = opened(gateways(*both)).client(oslorpc.Target(topic=topic), timeout=20)
    assert client.call({}, "add", a=1, b=1) == 2
    used, other = both if both[0].passed else reversed(both)
    used.holds.clear()
    caught = []

    def call():
        with contextlib.suppress(oslorpc.Error):
            try:
                client.call({}, "note", id="once")
            except oslorpc.Error as e:
                caught.append(e)
                raise

    caller = threading.Thread(target=call)
    caller.start()
    until("the message was passed on", lambda: ("note") in [m for m, _ in used.passed])
    used.stop()
    used.holds.set()
    caller.join(20)
    assert caught and caught[0].kind is oslorpc.Kind.OUTCOME_UNKNOWN and not caught[0].safe_to_retry
    for _ in range(4):
        assert client.call({}, "add", a=1, b=1) == 2
    assert "note" not in [m for m, _ in other.passed]
    assert len(client.fanout({}, "note", id="all").accepted) == 2


def test_a_gateway_stops(relays, fleet, opened, topic):
    """No call fails while one gateway says that it stops, and each server gets one copy of a
    fanout.
    """
    both = [relays(*fleet), relays(*fleet)]
    client = opened(gateways(*both)).client(oslorpc.Target(topic=topic), timeout=20)
    assert client.call({}, "add", a=1, b=1) == 2
    used, other = both if both[0].passed else reversed(both)
    used.refuses = errors.STOPPING
    used.end_watches()
    for _ in range(20):
        assert client.call({}, "add", a=1, b=1) == 2
        report = client.fanout({}, "note", id="all")
        assert sorted(o.server for o in report.accepted) == ["a", "b"] and not report.failed
    assert other.passed


def test_a_gateway_starts_again(relays, fleet, opened, topic):
    first = relays(*fleet)
    client = opened(gateways(first)).client(oslorpc.Target(topic=topic), timeout=30)
    assert client.call({}, "add", a=1, b=1) == 2
    first.stop()
    port = int(first.addr.rpartition(":")[2])
    caught = []

    def call():
        try:
            caught.append(client.call({}, "add", a=1, b=1))
        except oslorpc.Error as e:
            caught.append(e)

    caller = threading.Thread(target=call)
    caller.start()
    second = relays(*fleet, port=port)
    caller.join(30)
    assert caught == [2], caught
    assert second.passed and second.boot_id != first.boot_id


def test_an_instance_leaves(relays, fleet, opened, topic):
    """An instance that the gateway no longer lists gets no message, although the gateway is
    connected.
    """
    relay = relays(*fleet)
    client = opened(gateways(relay)).client(oslorpc.Target(topic=topic), timeout=20)
    assert {client.call({}, "whoami")["server"] for _ in range(4)} == {"a", "b"}
    relay.show(fleet[0])
    until("b gets nothing", lambda: {client.call({}, "whoami")["server"] for _ in range(4)} == {"a"})
    assert [o.server for o in client.fanout({}, "note", id="all").outcomes] == ["a"]
    relay.show(*fleet)
    until("b is back", lambda: {client.call({}, "whoami")["server"] for _ in range(4)} == {"a", "b"})


def test_a_gateway_that_lags(relays, fleet, opened, topic):
    """A message that the gateway cannot pass on goes to another server, and the client stays
    connected to the gateway.
    """
    relay = relays(*fleet)
    client = opened(gateways(relay)).client(oslorpc.Target(topic=topic), timeout=20)
    assert client.call({}, "add", a=1, b=1) == 2
    relay.instances = [fleet[0]]  # without telling the watches
    assert {client.call({}, "whoami")["server"] for _ in range(6)} == {"a"}


def test_no_gateway_is_there(opened, topic, relays):
    gone = relays()
    gone.stop()
    client = opened(gateways(gone)).client(oslorpc.Target(topic=topic), timeout=2)
    with pytest.raises(oslorpc.Error) as e:
        client.call({}, "add", a=1, b=1)
    assert e.value.kind is oslorpc.Kind.UNREACHABLE and e.value.safe_to_retry
    assert gone.addr in str(e.value)
    with pytest.raises(oslorpc.Error) as e:
        opened(gateways(gone)).instances()
    assert gone.addr in str(e.value)


def test_a_gateway_that_cannot_read_its_registry(relays, fleet, opened, topic):
    relay = relays(*fleet)
    relay.error = "no cluster leader"
    client = opened(gateways(relay)).client(oslorpc.Target(topic=topic), fail_fast=True, timeout=20)
    with pytest.raises(oslorpc.Error, match="no cluster leader") as e:
        client.call({}, "add", a=1, b=1)
    assert e.value.safe_to_retry


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("gateway://", "it has no port"),
        ("gateway://a", "it has no port"),
        ("gateway://127.0.0.1:99999", "the port must be a number"),
        ("gateway://127.0.0.1:1,127.0.0.1:1", "appears twice"),
        ("gateway://10.0.0.1:7000", "there is no TLS"),
        ("gateway://127.0.0.1:7000?dc=a", 'unknown parameter "dc"'),
        ("gateway://0.0.0.0:7000", "unspecified host"),
        ("gateway://user@127.0.0.1:7000", "there are no user names"),
    ],
)
def test_wrong_urls(url, words):
    with pytest.raises(oslorpc.Error) as e:
        oslorpc.open(url)
    assert e.value.kind is oslorpc.Kind.INVALID and words in str(e.value), e.value
