"""Go and Python, both as clients and as servers, over local:// and a real Consul."""

import asyncio
import contextlib
import json
import signal
import time

import pytest
from conftest import until
from serverprogram import PortNotFound

import oslorpc
from oslorpc import aio
from oslorpc.errors import Kind

KINDS = ["go", "sync", "aio"]


def answering(names, ask):
    """Return a condition that is true when all servers have answered.

    Each call of it asks once. Which server answers depends on the connections that are ready.
    """
    seen = set()

    def check():
        seen.add(ask())
        return seen == set(names)

    return check


def client_of(opened, url, topic, **options):
    return opened(url).client(oslorpc.Target(topic=topic), **options)


@pytest.mark.parametrize("kind", KINDS)
def test_blocking_client(opened, start, url, topic, kind):
    start(kind, url, topic, "a")
    start(kind, url, topic, "b")
    client = client_of(opened, url, topic)
    assert client.call({}, "add", a=2**70, b=1) == 2**70 + 1
    assert client.call({"user": "u"}, "echo", text="größe 🙂", n=None, f=1.0) == {
        "text": "größe 🙂",
        "n": None,
        "f": 1.0,
    }
    assert isinstance(client.call({}, "echo", f=1.0)["f"], float)
    assert client.call({}, "echo", text="x" * (1 << 20))["text"] == "x" * (1 << 20)
    until("both answer", answering("ab", lambda: client.call({}, "whoami")["server"]))
    assert client.prepare(server="b").call({}, "whoami")["server"] == "b"
    client.cast({}, "echo", x=1)
    report = client.fanout({}, "echo", x=1)
    assert sorted(o.server for o in report.accepted) == ["a", "b"]
    assert not report.failed and not report.skipped and report.uncertain is None
    replies = list(client.gather({}, "whoami"))
    assert sorted(r.result["server"] for r in replies) == ["a", "b"]
    assert {r.total for r in replies} == {2}
    assert list(client.multicall({}, "count", n=5)) == [1, 2, 3, 4, 5]
    assert client.prepare(version_cap="auto").can_send_version("1.0")
    assert not client.prepare(version_cap="auto").can_send_version("1.1")


@pytest.mark.parametrize("kind", KINDS)
def test_asyncio_client(start, url, topic, kind):
    start(kind, url, topic, "a")
    start(kind, url, topic, "b")

    async def main():
        async with aio.open(url) as t:
            client = t.client(oslorpc.Target(topic=topic))
            assert await client.call({}, "add", a=2**70, b=1) == 2**70 + 1
            seen = set()
            while seen != {"a", "b"}:
                seen.add((await client.call({}, "whoami"))["server"])
            assert (await client.prepare(server="b").call({}, "whoami"))["server"] == "b"
            await client.cast({}, "echo", x=1)
            report = await client.fanout({}, "echo", x=1)
            assert sorted(o.server for o in report.accepted) == ["a", "b"]
            replies = [r async for r in client.gather({}, "whoami")]
            assert sorted(r.result["server"] for r in replies) == ["a", "b"]
            assert [i async for i in await client.multicall({}, "count", n=5)] == [1, 2, 3, 4, 5]
            assert await client.prepare(version_cap="auto").can_send_version("1.0")
            answers = await asyncio.gather(*(client.call({}, "add", a=n, b=n) for n in range(64)))
            assert answers == [2 * n for n in range(64)]

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["sync", "aio"])
def test_go_client(start, run, url, topic, kind):
    start(kind, url, topic, "a", "1.2")
    start(kind, url, topic, "b", "1.2")
    assert run(url, "call", topic, "add", f"a:={2**70}", "b:=1")[1] == str(2**70 + 1)
    assert json.loads(run(url, "call", topic, "echo", "text=größe 🙂", "f:=1.0")[1]) == {"text": "größe 🙂", "f": 1.0}
    assert json.loads(run(url, "call", topic, "whoami", "--server", "b")[1])["server"] == "b"
    until("both answer", answering("ab", lambda: json.loads(run(url, "call", topic, "whoami")[1])["server"]))
    assert run(url, "multicall", topic, "count", "n:=3")[1].split() == ["1", "2", "3"]
    code, out, _ = run(url, "fanout", topic, "echo", "x:=1")
    assert code == 0 and out.count("accepted") == 2
    assert run(url, "cast", topic, "echo", "x:=1")[0] == 0
    for command in (["ls"], ["ping", topic], ["info", topic], ["versions", topic], ["deprecations", topic]):
        code, out, err = run(url, *command)
        assert code == 0, (command, out, err)
    assert "add(a integer, b integer)" in run(url, "info", topic)[1]
    code, out, err = run(url, "upgrade", "check", topic, "--to", "1.2")
    assert code == 0, (code, out, err)
    code, _, err = run(url, "call", topic, "fail", "message=oh")
    assert code != 0 and "ValueError: oh" in err


@pytest.mark.parametrize("kind", KINDS)
def test_errors(opened, start, local, topic, kind):
    p = start(kind, local, topic, "a", *([] if kind == "go" else ["1.4"]))
    client = client_of(opened, local, topic)
    with pytest.raises(oslorpc.RemoteError) as e:
        client.call({}, "fail", message="oh")
    assert e.value.hops == ("a",) and "oh" in e.value.remote_message and e.value.server == "a"
    assert not e.value.safe_to_retry
    if kind != "go":
        assert e.value.type == "ValueError" and any("raise ValueError" in line for line in e.value.stack)
    for method, kwargs, wanted in [
        ("add", {"a": 1}, Kind.BAD_ARGUMENTS),
        ("add", {"a": 1, "b": 2, "c": 3}, Kind.BAD_ARGUMENTS),
        ("add", {"a": "x", "b": 2}, Kind.BAD_ARGUMENTS),
        ("subtract", {}, Kind.NO_SUCH_METHOD),
        ("_add", {}, Kind.NO_SUCH_METHOD),
    ]:
        with pytest.raises(oslorpc.Error) as e:
            client.call({}, method, **kwargs)
        assert (e.value.kind, e.value.safe_to_retry) == (wanted, True)
    with pytest.raises(oslorpc.Error) as e:
        client.prepare(version="9.0").call({}, "add", a=1, b=2)
    assert e.value.kind is Kind.UNSUPPORTED_VERSION and "offered is" in e.value.message
    with pytest.raises(oslorpc.Error) as e:
        client.prepare(server="z", timeout=30).call({}, "add", a=1, b=2)
    assert e.value.kind is Kind.NO_INSTANCE and e.value.safe_to_retry
    with pytest.raises(oslorpc.Error) as e:
        client.prepare(timeout=2).call({}, "sleep", seconds=30)
    assert e.value.kind is Kind.TIMEOUT and not e.value.safe_to_retry
    if kind != "go":
        p.await_line("canceled")  # the method was canceled


@pytest.mark.parametrize("kind", ["sync", "aio"])
def test_registered_exceptions(start, local, topic, kind):
    start(kind, local, topic, "a")
    with oslorpc.open(local, exceptions={"ports.NotFound": PortNotFound}) as t:
        client = t.client(oslorpc.Target(topic=topic))
        with pytest.raises(PortNotFound) as e:
            client.call({}, "missing", port=7)
        assert e.value.port == 7 and str(e.value) == "no port 7"
        assert oslorpc.kind_of(e.value) is Kind.REMOTE and not oslorpc.safe_to_retry(e.value)
        assert isinstance(e.value.__cause__, oslorpc.RemoteError) and e.value.__cause__.type == "ports.NotFound"
    with oslorpc.open(local) as t, pytest.raises(oslorpc.RemoteError) as e:
        t.client(oslorpc.Target(topic=topic)).call({}, "missing", port=7)
    assert json.loads(e.value.data) == {"port": 7}


@pytest.mark.parametrize("kind", ["sync", "aio"])
def test_results_that_cannot_be_sent(opened, start, local, topic, kind):
    start(kind, local, topic, "a")
    client = client_of(opened, local, topic)
    with pytest.raises(oslorpc.Error) as e:
        client.call({}, "unsendable")
    assert (e.value.kind, e.value.path, e.value.safe_to_retry) == (Kind.BAD_RESULT, "/a/1", False)
    with pytest.raises(oslorpc.Error) as e:
        client.call({}, "large", size=17 << 20)
    assert (e.value.kind, e.value.safe_to_retry) == (Kind.TOO_LARGE, False)
    with pytest.raises(oslorpc.Error) as e:
        client.call({}, "echo", x="x" * (17 << 20))
    assert (e.value.kind, e.value.safe_to_retry) == (Kind.TOO_LARGE, True)
    assert len(client.call({}, "large", size=15 << 20)) == 15 << 20


def state(task):
    return (task / "stat").read_text().rpartition(") ")[2][0]


@pytest.mark.parametrize("kind", KINDS)
def test_monitored_call_outlives_its_silence(opened, start, local, topic, kind):
    p = start(kind, local, topic, "a")
    client = client_of(opened, local, topic, call_monitor_timeout=1.5)
    client.call({}, "sleep", seconds=4)
    p.send(signal.SIGSTOP)
    until("it is stopped", lambda: all(state(task) == "T" for task in p.tasks()))
    began = time.monotonic()
    with pytest.raises(oslorpc.Error) as e:
        client.prepare(timeout=20).call({}, "sleep", seconds=0)
    assert e.value.kind in (Kind.MONITOR_TIMEOUT, Kind.TIMEOUT) and time.monotonic() - began < 10
    p.send(signal.SIGCONT)


def test_go_client_monitors_python(start, run, local, topic):
    start("sync", local, topic, "a")
    assert run(local, "call", topic, "sleep", "seconds:=1")[0] == 0


@pytest.mark.parametrize("kind", KINDS)
def test_breaking_off_a_multicall(opened, start, local, topic, kind):
    start(kind, local, topic, "a")
    client = client_of(opened, local, topic)
    with contextlib.closing(client.multicall({}, "count", n=1_000_000)) as items:
        assert next(items) == 1
    assert client.call({}, "add", a=1, b=1) == 2
    until("the stream has ended", lambda: all(link.outstanding == 0 for link in client._transport._pool.all()))


@pytest.mark.parametrize("kind", KINDS)
def test_killed_server(opened, start, url, topic, kind):
    victim = start(kind, url, topic, "a")
    client = client_of(opened, url, topic)
    client.call({}, "whoami")
    import concurrent.futures

    with concurrent.futures.ThreadPoolExecutor() as pool:
        running = pool.submit(client.call, {}, "sleep", seconds=30)
        until("the message was sent", lambda: any(link.outstanding for link in client._transport._pool.all()))
        time.sleep(0.2)
        start(kind, url, topic, "b")
        victim.send(signal.SIGKILL)
        began = time.monotonic()
        with pytest.raises(oslorpc.Error) as e:
            running.result(5)
        assert e.value.kind is Kind.OUTCOME_UNKNOWN and not e.value.safe_to_retry
        assert time.monotonic() - began < 2
    assert {client.prepare(timeout=10).call({}, "whoami")["server"] for _ in range(20)} == {"b"}
