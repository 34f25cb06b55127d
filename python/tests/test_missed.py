"""Reports of missed messages: senders attach them to their next message for the server."""

import asyncio
import threading
import time

import pytest
from conftest import until

import oslorpc
from oslorpc import aio, missed
from oslorpc.errors import Error, Kind


class Busy:
    """An endpoint with a method that blocks. Its server runs one message, and refuses others."""

    def __init__(self):
        self.open = threading.Event()
        self.running = threading.Event()

    def wait(self, ctxt):
        self.running.set()
        self.open.wait(20)

    def ping(self, ctxt):
        return "pong"


@pytest.fixture
def busy(opened, local, topic):
    """A function that fills a server, one that frees it, and the reports that it got."""
    told, endpoint = [], Busy()
    target = oslorpc.Target(topic=topic, server="a")
    opened(local).server(target, [endpoint], workers=1, queue=0, missed=told.append).start()
    filler = opened(local).client(oslorpc.Target(topic=topic), timeout=10)

    def fill():
        endpoint.open.clear()
        endpoint.running.clear()
        filler.cast({}, "wait")
        assert endpoint.running.wait(10)

    def free():
        endpoint.open.set()
        filler.call({}, "ping")

    yield fill, free, told
    endpoint.open.set()


def records(transport):
    return transport._fleet._missed._records


def fail(client, delivery):
    """Send a message that a full server refuses."""
    if delivery == "fanout":
        assert len(client.fanout({}, "ping").failed) == 1
    elif delivery == "gather":
        assert [r.error.kind for r in client.gather({}, "ping")] == [Kind.REFUSED]
    else:
        with pytest.raises(Error) as e:
            result = getattr(client.prepare(server="a", retry=1), delivery)({}, "ping")
            list(result)
        assert e.value.kind is Kind.REFUSED


@pytest.mark.parametrize("delivery", ["call", "cast", "multicall", "fanout", "gather"])
def test_the_next_message_tells(opened, local, topic, busy, delivery):
    fill, free, told = busy
    transport = opened(local)
    client = transport.client(oslorpc.Target(topic=topic), timeout=10)
    fill()
    fail(client, delivery)
    assert len(records(transport)) == 1
    free()
    assert client.call({}, "ping") == "pong"
    until("the server is told", lambda: told)
    assert "could not deliver" in told[0]
    assert records(transport) == {}, "it was told, and would be told again"


def test_the_next_message_of_asyncio_tells(local, topic, busy):
    fill, free, told = busy

    async def main():
        async with aio.open(local) as t:
            client = t.client(oslorpc.Target(topic=topic), timeout=10)
            fill()
            with pytest.raises(Error):
                await client.prepare(server="a", retry=1).cast({}, "ping")
            assert len(records(t)) == 1, "the name"
            assert len((await client.fanout({}, "ping")).failed) == 1
            assert len(records(t)) == 1, "the instance; its refusals were an answer to the first report"
            await asyncio.to_thread(free)
            await client.cast({}, "ping")
            assert records(t) == {}

    asyncio.run(main())
    until("the server is told", lambda: told)


def test_a_message_for_any_server_has_no_receiver(opened, local, topic, busy):
    fill, _, _ = busy
    transport = opened(local)
    fill()
    with pytest.raises(Error):
        transport.client(oslorpc.Target(topic=topic), timeout=10, retry=1).call({}, "ping")
    assert records(transport) == {}


def test_reports_are_limited(monkeypatch):
    async def main(interval):
        monkeypatch.setattr(missed, "_EVERY", interval)
        told = []
        reports = missed.Reports(told.append)
        await asyncio.sleep(0.01)
        for _ in range(100):
            reports.tell(0.0)
        await asyncio.to_thread(until, "the server is told", lambda: told)
        for _ in range(100):
            reports.tell(0.0)
        await asyncio.sleep(0.3)
        reports.end()
        return len(told)

    assert asyncio.run(main(10)) == 1
    assert asyncio.run(main(0.05)) == 2


def test_reports_of_the_time_before_the_start():
    async def main():
        told = []
        reports = missed.Reports(told.append)
        reports.tell(3600.0)
        await asyncio.sleep(0.05)
        return told

    assert asyncio.run(main()) == []


def test_a_function_that_fails_or_is_async(monkeypatch, caplog):
    async def main():
        monkeypatch.setattr(missed, "_EVERY", 0.0)
        calls = []

        async def told(reason):
            calls.append(reason)
            raise ValueError("the program's own")

        reports = missed.Reports(told)
        for n in (1, 2):
            await asyncio.sleep(0.01)
            reports.tell(0.0)
            await asyncio.to_thread(until, "it is called", lambda n=n: len(calls) == n)
        reports.end()

    asyncio.run(main())
    assert "the program's own" in caplog.text


def error(kind, safe=False, server="", answered=False):
    e = Error(kind, safe_to_retry=safe, server=server)
    e.answered = answered
    return e


@pytest.mark.parametrize(
    ("e", "cast", "counts"),
    [
        (error(Kind.NO_INSTANCE, True), False, True),
        (error(Kind.REFUSED, True, answered=True), False, True),
        (error(Kind.OUTCOME_UNKNOWN), False, True),
        (error(Kind.OUTCOME_UNKNOWN, answered=True), False, False),
        (error(Kind.TIMEOUT, True), False, True),
        (error(Kind.TIMEOUT), False, False),
        (error(Kind.TIMEOUT), True, True),
        (error(Kind.REMOTE, answered=True), False, False),
        (error(Kind.ACCESS_DENIED, True, answered=True), False, False),
    ],
    ids=range(9),
)
def test_which_errors_count(e, cast, counts):
    assert missed.is_missed(e, cast) is counts


def test_memory_is_bounded(monkeypatch):
    m = missed.Missed()
    for n in range(5000):
        m.server("x", "t", str(n))
    assert len(m._records) == missed._MOST
    monkeypatch.setattr(missed, "_TIME", 0.0)
    time.sleep(0.001)
    m.server("x", "t", "last")
    assert len(m._records) == 1
