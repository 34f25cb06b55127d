"""What clients refuse, and the kinds of their errors, which are the same as in Go."""

import asyncio
import math
import os
import pickle
import signal
import socket
import threading
import time

import pytest
from conftest import free_ports, until

import oslorpc
from oslorpc import aio
from oslorpc.errors import Kind

LONE = "\ud800"


@pytest.fixture
def client(opened, start, local, topic):
    start("go", local, topic, "a")
    return opened(local).client(oslorpc.Target(topic=topic))


CYCLE: list = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    ("kwargs", "path"),
    [
        ({"a": math.nan}, "/a"),
        ({"a": [1, math.inf]}, "/a/1"),
        ({"a": {"b": -math.inf}}, "/a/b"),
        ({"a": b"x"}, "/a"),
        ({"a": [bytearray(b"x")]}, "/a/0"),
        ({"a": {1: 2}}, "/a"),
        ({"a": [{None: 2}]}, "/a/0"),
        ({"a": {True: 2}}, "/a"),
        ({"a": {(1, 2): 3}}, "/a"),
        ({"a": LONE}, "/a"),
        ({"a": {"x/y~z": [LONE]}}, "/a/x~1y~0z/0"),
        ({"a": {LONE: 1}}, "/a"),
        ({"a": {1, 2}}, "/a"),
        ({"a": object()}, "/a"),
        ({"a": 1 + 2j}, "/a"),
        ({"a": 10**5000}, "/a"),
    ],
    ids=range(16),
)
def test_arguments_that_cannot_be_sent(client, kwargs, path):
    with pytest.raises(oslorpc.Error) as e:
        client.call({}, "echo", **kwargs)
    assert (e.value.kind, e.value.path, e.value.safe_to_retry) == (Kind.BAD_ARGUMENTS, path, True)
    assert e.value.method == "echo" and len(str(e.value)) < 1000


def test_a_value_that_contains_itself(client):
    with pytest.raises(oslorpc.Error) as e:
        client.call({}, "echo", a=CYCLE)
    assert e.value.kind is Kind.BAD_ARGUMENTS


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"topic": ""}, Kind.INVALID_TARGET),
        ({"topic": None}, Kind.INVALID_TARGET),
        ({"topic": "x" * 256}, Kind.INVALID_TARGET),
        ({"topic": "a\nb"}, Kind.INVALID_TARGET),
        ({"topic": LONE}, Kind.INVALID_TARGET),
        ({"server": ""}, Kind.INVALID_TARGET),
        ({"namespace": "a\x00b"}, Kind.INVALID_TARGET),
        ({"exchange": ""}, Kind.INVALID_TARGET),
        ({"version": "1"}, Kind.INVALID_TARGET),
        ({"version": "1.02"}, Kind.INVALID_TARGET),
        ({"version": "1.0.0.0"}, Kind.INVALID_TARGET),
        ({"version": f"1.{2**32}"}, Kind.INVALID_TARGET),
        ({"fanout": True}, Kind.INVALID_TARGET),
        ({"order_key": "x" * 256}, Kind.INVALID_TARGET),
        ({"version_cap": "latest"}, Kind.INVALID),
        ({"version_cap": "1.3", "version": "1.4"}, Kind.VERSION_CAP_EXCEEDED),
        ({"version_cap": "2.0"}, Kind.VERSION_CAP_EXCEEDED),
        ({"version_cap": "epoxy", "version_aliases": {"epoxy": "0.9"}}, Kind.VERSION_CAP_EXCEEDED),
        ({"version": "1.1"}, Kind.UNSUPPORTED_VERSION),
        ({"namespace": "none"}, Kind.UNSUPPORTED_VERSION),
        ({"server": "z", "fail_fast": True}, Kind.NO_INSTANCE),
    ],
    ids=repr,
)
def test_bad_settings(client, settings, kind):
    with pytest.raises(oslorpc.Error) as e:
        client.prepare(timeout=5).prepare(**settings).call({}, "add", a=1, b=2)
    assert (e.value.kind, e.value.safe_to_retry) == (kind, True), e.value


@pytest.mark.parametrize("method", ["", "a\nb", "x" * 256, LONE])
def test_bad_methods(client, method):
    with pytest.raises(oslorpc.Error) as e:
        client.call({}, method)
    assert (e.value.kind, e.value.safe_to_retry) == (Kind.INVALID_TARGET, True)


@pytest.mark.parametrize(
    "url",
    [
        "nonsense", "http://x", "local://relative", "local:///x?colour=red", "local:///x?exchange=", "static://topic",
        "static://t=host", "static://t=a:0", "static://t=0.0.0.0:1", "static://t/=a:1", "static://t=a:1,t=a:1",
        "consul://h:0", "consul://user@h:1", "consul://h:8500?ttl=forever", "consul://h:8500?token-file=/x",
        "local:///x?insecure=maybe", "local:///x?cert=/only",
    ],
)  # fmt: skip
def test_bad_urls(url):
    with pytest.raises(oslorpc.Error) as e:
        oslorpc.open(url)
    assert e.value.kind is Kind.INVALID


@pytest.mark.parametrize("parameter", ["connect=native", "service=web"])
def test_parameters_of_go(parameter):
    with pytest.raises(oslorpc.Error, match="only programs in Go") as e:
        oslorpc.open("consul://h:8500?" + parameter)
    assert e.value.kind is Kind.INVALID


def test_a_topic_without_servers(opened, local):
    client = opened(local).client(oslorpc.Target(topic="empty"), timeout=1)
    for send in (client.call, client.cast):
        began = time.monotonic()
        with pytest.raises(oslorpc.Error) as e:
            send({}, "x")
        assert (e.value.kind, e.value.safe_to_retry) == (Kind.NO_INSTANCE, True)
        assert 0.9 < time.monotonic() - began < 5
    report = client.fanout({}, "x")
    assert report.outcomes == () and report.uncertain is None
    assert list(client.gather({}, "x")) == []


def test_messages_wait_for_a_server(opened, start, local, topic):
    client = opened(local).client(oslorpc.Target(topic=topic), timeout=30)
    results = []
    thread = threading.Thread(target=lambda: results.append(client.call({}, "add", a=1, b=2)))
    thread.start()
    time.sleep(0.3)
    start("go", local, topic, "late")
    thread.join(20)
    assert results == [3]


def test_nothing_listens(opened):
    (port,) = free_ports(1)
    client = opened(f"static://t=127.0.0.1:{port}").client(oslorpc.Target(topic="t"), timeout=1)
    with pytest.raises(oslorpc.Error) as e:
        client.call({}, "x")
    assert (e.value.kind, e.value.safe_to_retry) == (Kind.UNREACHABLE, True)
    assert f"127.0.0.1:{port}" in str(e.value)
    with pytest.raises(oslorpc.Error) as e:
        client.prepare(fail_fast=True, timeout=30).call({}, "x")
    assert e.value.kind is Kind.UNREACHABLE


def test_another_program_listens(opened):
    """A message to the port of another gRPC server provably did not run."""
    import concurrent.futures

    import grpc

    other = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
    port = other.add_insecure_port("127.0.0.1:0")
    other.start()
    client = opened(f"static://t=127.0.0.1:{port}").client(oslorpc.Target(topic="t"), timeout=1)
    with pytest.raises(oslorpc.Error) as e:
        client.call({}, "x")
    assert (e.value.kind, e.value.safe_to_retry) == (Kind.REFUSED, True)
    assert "another program" in str(e.value)
    other.stop(0)


def test_a_server_whose_timer_fires_first(opened):
    """A server cancels an RPC at its deadline, a moment before the client does. The error is a
    Timeout.
    """
    import concurrent.futures

    import grpc

    def call(request, context):
        while (context.time_remaining() or 0) > 0.02:
            threading.Event().wait(0.001)
        context.abort(grpc.StatusCode.CANCELLED, "context canceled")

    other = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
    method = grpc.unary_unary_rpc_method_handler(call)
    other.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("oslorpc.v1.RPCService", {"Call": method}),))
    port = other.add_insecure_port("127.0.0.1:0")
    other.start()
    url = f"static://t=127.0.0.1:{port}"

    async def asynchronous():
        async with aio.open(url) as t:
            await t.client(oslorpc.Target(topic="t"), timeout=0.5).call({}, "x")

    client = opened(url).client(oslorpc.Target(topic="t"), timeout=0.5)
    for send in (lambda: client.call({}, "x"), lambda: asyncio.run(asynchronous())):
        with pytest.raises(oslorpc.Error) as e:
            send()
        assert (e.value.kind, e.value.safe_to_retry) == (Kind.TIMEOUT, False)
        assert "no answer came" in str(e.value)
    (reply,) = client.gather({}, "x")
    assert reply.error.kind is Kind.TIMEOUT
    other.stop(0)


def test_a_server_that_accepts_and_says_nothing(opened):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"static://t=127.0.0.1:{silent.getsockname()[1]}"
        client = opened(url).client(oslorpc.Target(topic="t"), timeout=1)
        with pytest.raises(oslorpc.Error) as e:
            client.call({}, "x")
        assert (e.value.kind, e.value.safe_to_retry) == (Kind.UNREACHABLE, True)


@pytest.mark.parametrize("kind", ["go", "sync"])
def test_static_addresses(opened, start, topic, local, kind):
    (port,) = free_ports(1)
    url = f"static://{topic}/a=127.0.0.1:{port}"
    if kind == "go":
        start("go", url, topic, "a", "--listen", f"127.0.0.1:{port}")
        client = opened(url).client(oslorpc.Target(topic=topic, server="a"))
        assert client.call({}, "add", a=1, b=2) == 3
        assert not client.prepare(version_cap="auto").can_send_version(
            "1.0"
        )  # versions at a static address are not known
        return
    t = opened(url, listen=f"127.0.0.1:{port}")

    class Methods:
        def add(self, ctxt, a: int, b: int) -> int:
            return a + b

    t.server(oslorpc.Target(topic=topic, server="a"), [Methods()]).start()
    assert t.client(oslorpc.Target(topic=topic)).call({}, "add", a=1, b=2) == 3
    wrong = opened(url, listen="127.0.0.1:0").server(oslorpc.Target(topic=topic, server="a"), [Methods()])
    with pytest.raises(oslorpc.Error) as e:
        wrong.start()
    assert e.value.kind is Kind.INVALID and "where no message goes" in str(e.value)


def test_a_fork_is_an_error(client):
    assert client.call({}, "add", a=1, b=2) == 3
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            client.call({}, "add", a=1, b=2)
            os.write(writer, b"no error")
        except oslorpc.Error as e:
            os.write(writer, f"{e.kind}: {e.message}".encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answers:
        text = answers.read().decode()
    os.waitpid(child, 0)
    assert text.startswith("Invalid: the process was forked")
    assert client.call({}, "add", a=1, b=2) == 3


def test_a_fork_does_not_keep_a_server_alive(opened, local, topic):
    """A forked child must not keep the lock of a server's file."""

    class Methods:
        pass

    other = opened(local)
    t = oslorpc.open(local)
    t.server(oslorpc.Target(topic=topic, server="a"), [Methods()]).start()
    child = os.fork()
    if child == 0:
        time.sleep(30)
        os._exit(0)
    try:
        assert [i.server for i in other.instances()] == ["a"]
        t.close()
        assert other.instances() == []
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_errors_can_be_pickled():
    error = oslorpc.RemoteError("ValueError", "bad", ("line",), ("a", "b"), '{"n":1}', server="b")
    again = pickle.loads(pickle.dumps(error))
    assert (again.type, again.hops, again.server, str(again)) == (error.type, error.hops, "b", str(error))


def test_use_after_close(local):
    t = oslorpc.open(local)
    client = t.client(oslorpc.Target(topic="t"))
    t.close()
    t.close()
    with pytest.raises(oslorpc.Error) as e:
        client.call({}, "x")
    assert e.value.kind is Kind.INVALID


def test_caps_follow_the_fleet(opened, start, local, topic):
    start("sync", local, topic, "old", "1.2")
    new = start("sync", local, topic, "new", "1.5")
    auto = opened(local).client(oslorpc.Target(topic=topic), version_cap="auto")
    until("both are seen", lambda: not auto.can_send_version("1.3") and auto.can_send_version("1.2"))
    assert auto.prepare(server="new").can_send_version("1.5")
    assert auto.prepare(version="1.5").call({}, "whoami")["server"] == "new"  # the cap auto does not refuse messages
    report = auto.prepare(version="1.5").fanout({}, "echo")
    assert [o.server for o in report.accepted] == ["new"] and [o.server for o in report.skipped] == ["old"]
    assert report.skipped[0].error.kind is Kind.UNSUPPORTED_VERSION
    new.end()
    fixed = auto.prepare(version_cap="1.4")
    assert fixed.can_send_version("1.4") and not fixed.can_send_version("1.5") and not fixed.can_send_version("2.0")


def test_servers_at_one_static_address_are_told_apart(opened):
    """A fanout tells them apart, too: it goes to each server, even if the target names one."""
    ran = []

    class Methods:
        def __init__(self, name):
            self.name = name

        def note(self, ctxt):
            ran.append(self.name)
            return self.name

    serving = opened("static://other=127.0.0.1:1", listen="127.0.0.1:0")
    for name in "ab":
        addr = serving.server(oslorpc.Target(topic="t", server=name), [Methods(name)]).start().addr
    client = opened(f"static://t/a={addr},t/b={addr}").client(oslorpc.Target(topic="t", server="a"))
    assert [r.result for r in sorted(client.gather({}, "note"), key=lambda r: r.server)] == ["a", "b"]
    assert len(client.fanout({}, "note").accepted) == 2
    until("both ran", lambda: sorted(ran) == ["a", "a", "b", "b"])
    assert {client.prepare(server=None).call({}, "note") for _ in range(4)} == {"a", "b"}
    assert client.call({}, "note") == "a"
