"""Interceptors: each delivery of both APIs, and the points at clients and servers."""

import asyncio
import contextlib
import contextvars
import os
import threading

import grpc
import pytest
from conftest import until

import oslorpc
from oslorpc import aio, connection
from oslorpc.errors import Kind
from oslorpc.v1 import rpc_pb2 as pb

ROLE = contextvars.ContextVar("role", default="none")
USER = (f"user:{os.geteuid()}",)
DELIVERIES = ["call", "cast", "fanout", "gather", "multicall", "monitored"]
AT_SERVER = {"fanout": "cast", "gather": "call", "monitored": "call"}


class Methods:
    """Each method returns the role that an interceptor set."""

    target = oslorpc.Target(version="1.2")

    def __init__(self):
        self.roles = []

    def role(self, ctxt):
        self.roles.append(ROLE.get())
        return self.roles[-1]

    def each(self, ctxt):
        self.roles.append(ROLE.get())
        yield self.roles[-1]
        yield ROLE.get()

    def fail(self, ctxt):
        raise ValueError("the method's own")


class AsyncMethods(Methods):
    async def role(self, ctxt):
        return Methods.role(self, ctxt)

    async def each(self, ctxt):
        for item in Methods.each(self, ctxt):
            yield item


class Seen:
    """Notes what interceptors see."""

    def __init__(self, asynchronous=False, accept=None, fail=None):
        self.log = []
        self.lock = threading.Lock()
        self.fail = fail or {}
        self._accept = accept
        points = {p: self._point(p, asynchronous) for p in ("send", "attempt", "run")}
        self.interceptor = oslorpc.Interceptor(accept=self.accept_async if asynchronous else self.accept, **points)

    def note(self, point, m, error=None):
        with self.lock:
            self.log.append((point, m, error))

    def begin(self, point, m):
        if point == "send":
            m.metadata["role"] = "admin"
        if point == "attempt":
            m.metadata["try"] = str(m.attempt)
        if point in self.fail:
            raise self.fail[point]

    def _point(self, point, asynchronous):
        @contextlib.contextmanager
        def plain(m):
            self.begin(point, m)
            try:
                yield
            except BaseException as e:
                self.note(point, m, e)
                raise
            self.note(point, m)

        @contextlib.asynccontextmanager
        async def waiting(m):
            await asyncio.sleep(0)
            with plain(m):
                yield

        return waiting if asynchronous else plain

    def accept(self, m):
        self.note("accept", m)
        if self._accept is not None and m.delivery != "inspect":
            self._accept(m)
        ROLE.set(m.metadata.get("role", "unset"))

    async def accept_async(self, m):
        await asyncio.sleep(0)
        self.accept(m)

    def of(self, point):
        with self.lock:
            return [m for p, m, _ in self.log if p == point and m.delivery != "inspect"]

    def errors(self, point):
        with self.lock:
            return [e for p, _, e in self.log if p == point]


def send(client, delivery, method=None):
    """Send a message, and return its results."""
    name = method or ("each" if delivery == "multicall" else "role")
    if delivery == "monitored":
        return [client.prepare(call_monitor_timeout=5).call({}, name)]
    result = getattr(client, delivery)({}, name)
    if delivery == "multicall":
        return list(result)
    if delivery == "gather":
        return [r.error or r.result for r in result]
    return [o.error for o in result.failed] if delivery == "fanout" else [result]


async def send_async(client, delivery, method=None):
    name = method or ("each" if delivery == "multicall" else "role")
    if delivery == "monitored":
        return [await client.prepare(call_monitor_timeout=5).call({}, name)]
    if delivery == "gather":
        return [r.error or r.result async for r in client.gather({}, name)]
    result = await getattr(client, delivery)({}, name)
    if delivery == "multicall":
        return [item async for item in result]
    return [o.error for o in result.failed] if delivery == "fanout" else [result]


def check_all(delivery, seen, methods, results, topic, identity):
    """Check what each point saw of a message that arrived."""
    until("the method ran", lambda: methods.roles and len(seen.of("run")) == 1)
    assert methods.roles == ["admin"], "a value that was set before acceptance"
    wanted = {"multicall": ["admin"] * 2, "cast": [None], "fanout": []}
    assert results == wanted.get(delivery, ["admin"])
    for point in ("send", "attempt"):
        (m,) = seen.of(point)
        assert m.delivery == ("call" if delivery == "monitored" else delivery)
        assert (m.target.topic, m.target.exchange, m.method, m.version) == (topic, "openstack", m.method, "1.1")
        assert m.caller == "tester" and m.monitored == (delivery == "monitored") and m.id
    assert (m.attempt, m.server) == (1, "a") and m.instance_id and m.addr
    assert seen.of("send")[0].attempt == 0
    for point in ("accept", "run"):
        (s,) = seen.of(point)
        assert s.delivery == AT_SERVER.get(delivery, delivery) and s.monitored == (delivery == "monitored")
        assert (s.target.topic, s.version, s.server, s.instance_id) == (topic, "1.1", "a", m.instance_id)
        assert s.metadata == {"role": "admin", "try": "1", "own": "x"} and s.caller == "tester" and s.id == m.id
        assert s.peer.identity.names == identity and s.peer.addr


@pytest.mark.parametrize("methods", [Methods, AsyncMethods])
@pytest.mark.parametrize("delivery", DELIVERIES)
def test_every_delivery(opened, local, topic, delivery, methods):
    seen, endpoint = Seen(), methods()
    server = opened(local, interceptors=[seen.interceptor])
    server.server(oslorpc.Target(topic=topic, server="a"), [endpoint]).start()
    transport = opened(local, caller="tester", interceptors=[seen.interceptor])
    client = transport.client(oslorpc.Target(topic=topic, version="1.1"), timeout=10, metadata={"own": "x"})
    check_all(delivery, seen, endpoint, send(client, delivery), topic, USER)
    assert seen.errors("send") == seen.errors("run") == [None]


@pytest.mark.parametrize("methods", [Methods, AsyncMethods])
@pytest.mark.parametrize("delivery", DELIVERIES)
def test_every_delivery_of_asyncio(local, topic, delivery, methods):
    async def main():
        seen, endpoint = Seen(asynchronous=True), methods()
        async with aio.open(local, caller="tester", interceptors=[seen.interceptor]) as t:
            await t.server(oslorpc.Target(topic=topic, server="a"), [endpoint]).start()
            target = oslorpc.Target(topic=topic, version="1.1")
            client = t.client(target, timeout=10, metadata={"own": "x"})
            results = await send_async(client, delivery)
            await asyncio.to_thread(check_all, delivery, seen, endpoint, results, topic, USER)

    asyncio.run(main())


@contextlib.contextmanager
def swallow(m):
    with contextlib.suppress(oslorpc.Error):
        yield


REFUSALS = [
    (oslorpc.Error(Kind.ACCESS_DENIED, "no"), Kind.ACCESS_DENIED),
    (oslorpc.Error(Kind.REFUSED, "no"), Kind.REFUSED),
    (oslorpc.Error(Kind.BAD_ARGUMENTS, "no"), Kind.BAD_ARGUMENTS),
    (oslorpc.Error(Kind.REMOTE, "no"), Kind.ACCESS_DENIED),
    (TimeoutError("no"), Kind.REFUSED),
    (RuntimeError("no"), Kind.ACCESS_DENIED),
]


def outcome(work):
    try:
        return work()[0]
    except oslorpc.Error as e:
        return e


@pytest.mark.parametrize("point", ["accept", "run"])
@pytest.mark.parametrize(("error", "kind"), REFUSALS, ids=repr)
@pytest.mark.parametrize("delivery", DELIVERIES)
def test_refused_by_a_server(opened, local, topic, delivery, error, kind, point):
    if point == "run" and delivery in ("cast", "fanout"):
        pytest.skip("it was accepted")

    def refuse(m):
        raise error

    seen = Seen(accept=refuse if point == "accept" else None, fail={"run": error} if point == "run" else None)
    methods = Methods()
    target = oslorpc.Target(topic=topic, server="a")
    opened(local, interceptors=[seen.interceptor]).server(target, [methods]).start()
    client = opened(local).client(oslorpc.Target(topic=topic), timeout=10, retry=1)
    e = outcome(lambda: send(client, delivery))
    assert (e.kind, e.safe_to_retry, e.server, "no" in e.message) == (kind, True, "a", True), e
    assert methods.roles == []


@pytest.mark.parametrize("delivery", ["fanout", "gather"])
def test_refused_by_one_of_several(opened, local, topic, delivery):
    def refuse(m):
        raise PermissionError("not here")

    strict, methods = Seen(accept=refuse), [Methods(), Methods()]
    for name, interceptors, m in (("a", [strict.interceptor], methods[0]), ("b", [], methods[1])):
        opened(local, interceptors=interceptors).server(oslorpc.Target(topic=topic, server=name), [m]).start()
    client = opened(local).client(oslorpc.Target(topic=topic), timeout=10)
    until("both are known", lambda: len(list(client.gather({}, "oslo", x=1))) == 2)
    if delivery == "fanout":
        report = client.fanout({}, "role")
        (failed,) = report.failed
        assert [o.server for o in report.accepted] == ["b"]
        server, error = failed.server, failed.error
    else:
        (bad,) = [r for r in client.gather({}, "role") if r.error is not None]
        server, error = bad.instance.server, bad.error
    assert (server, error.kind, error.safe_to_retry) == ("a", Kind.ACCESS_DENIED, True)
    until("the other ran it", lambda: methods[1].roles)
    assert methods[0].roles == []


@pytest.mark.parametrize("point", ["send", "attempt"])
@pytest.mark.parametrize("delivery", DELIVERIES)
@pytest.mark.parametrize("asynchronous", [False, True])
def test_ended_at_the_client(opened, local, topic, delivery, point, asynchronous):
    seen, methods = Seen(asynchronous, fail={point: RuntimeError("not sent")}), Methods()
    opened(local).server(oslorpc.Target(topic=topic, server="a"), [methods]).start()
    target = oslorpc.Target(topic=topic)

    async def main():
        async with aio.open(local, interceptors=[seen.interceptor]) as t:
            try:
                return (await send_async(t.client(target, timeout=10), delivery))[0]
            except oslorpc.Error as e:
                return e

    if asynchronous:
        e = asyncio.run(main())
    else:
        client = opened(local, interceptors=[seen.interceptor]).client(target, timeout=10)
        e = outcome(lambda: send(client, delivery))
    assert (e.kind, e.safe_to_retry, e.message) == (Kind.ACCESS_DENIED, True, "not sent")
    assert methods.roles == []


@pytest.mark.parametrize("delivery", DELIVERIES)
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_refusal_cannot_be_hidden(opened, local, topic, delivery, asynchronous):
    interceptors = [oslorpc.Interceptor(send=swallow), Seen(fail={"send": RuntimeError("no")}).interceptor]
    target = oslorpc.Target(topic=topic)

    async def main():
        async with aio.open(local, interceptors=interceptors) as t:
            await send_async(t.client(target, timeout=10), delivery)

    with pytest.raises(oslorpc.Error) as e:
        if asynchronous:
            asyncio.run(main())
        else:
            send(opened(local, interceptors=interceptors).client(target, timeout=10), delivery)
    assert (e.value.kind, e.value.safe_to_retry) == (Kind.INVALID, True)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_multicall_that_ran_is_not_safe_to_retry(opened, local, topic, asynchronous):
    opened(local).server(oslorpc.Target(topic=topic, server="a"), [Methods()]).start()
    interceptors, target = [oslorpc.Interceptor(send=swallow)], oslorpc.Target(topic=topic)

    async def main():
        async with aio.open(local, interceptors=interceptors) as t:
            await send_async(t.client(target, timeout=10), "multicall", "fail")

    with pytest.raises(oslorpc.Error) as e:
        if asynchronous:
            asyncio.run(main())
        else:
            send(opened(local, interceptors=interceptors).client(target, timeout=10), "multicall", "fail")
    assert (e.value.kind, e.value.safe_to_retry) == (Kind.REMOTE, False)


def test_refused_attempts_go_elsewhere(opened, local, topic):
    tried = []

    @contextlib.contextmanager
    def attempt(m):
        tried.append((m.server, m.attempt))
        if len(tried) == 1:
            raise oslorpc.Error(Kind.REFUSED, "not this one")
        yield

    for name in ("a", "b"):
        opened(local).server(oslorpc.Target(topic=topic, server=name), [Methods()]).start()
    t = opened(local, interceptors=[oslorpc.Interceptor(attempt=attempt)])
    plain = opened(local).client(oslorpc.Target(topic=topic), timeout=10)
    until("both are known", lambda: len(list(plain.gather({}, "role"))) == 2)
    assert t.client(oslorpc.Target(topic=topic), timeout=10).call({}, "role") == "none"
    assert [n for _, n in tried] == [1, 2] and len({s for s, _ in tried}) == 2


def test_outcomes_that_interceptors_replace(opened, local, topic):
    @contextlib.contextmanager
    def deny(m):
        yield
        raise oslorpc.Error(Kind.ACCESS_DENIED, "too late")

    @contextlib.contextmanager
    def refuse(m):
        yield
        raise oslorpc.Error(kinds[0], "again", safe_to_retry=True)

    kinds = []
    target, methods = oslorpc.Target(topic=topic), Methods()
    transport = opened(local, interceptors=[oslorpc.Interceptor(run=deny)])
    transport.server(oslorpc.Target(topic=topic, server="a"), [methods]).start()
    e = outcome(lambda: [opened(local).client(target, timeout=10).call({}, "role")])
    assert (e.kind, e.safe_to_retry) == (Kind.ACCESS_DENIED, False), "the method ran"
    e = outcome(lambda: [opened(local).client(target, timeout=10).call({}, "fail")])
    assert (e.kind, e.type) == (Kind.REMOTE, "ValueError")
    for point in ("send", "attempt"):
        t = opened(local, interceptors=[oslorpc.Interceptor(**{point: swallow})])
        assert t.client(target, timeout=10).call({}, "fail") is None
    methods, target = Methods(), oslorpc.Target(topic=topic + "x")
    opened(local).server(target.replace(server="a"), [methods]).start()
    t = opened(local, interceptors=[oslorpc.Interceptor(attempt=refuse)])
    client = t.client(target, timeout=10)
    for kind, wanted in ((Kind.REFUSED, Kind.OUTCOME_UNKNOWN), (Kind.ACCESS_DENIED, Kind.ACCESS_DENIED)):
        kinds[:] = [kind]
        e = outcome(lambda: [client.call({}, "role")])
        assert (e.kind, e.safe_to_retry) == (wanted, False), "the method ran"
    assert len(methods.roles) == 2, "a message that ran was sent again"


def test_questions_to_a_process(opened, local, topic, run):
    seen = Seen()
    t = opened(local, interceptors=[seen.interceptor])
    t.server(oslorpc.Target(topic=topic, server="a"), [Methods()]).start()
    code, _, _ = run(local, "info", topic)
    assert code == 0
    assert ("inspect", "GetInfo") in {(m.delivery, m.method) for p, m, _ in seen.log if p == "accept"}


def test_messages_of_go(opened, local, topic, run):
    seen, methods = Seen(), Methods()
    t = opened(local, interceptors=[seen.interceptor])
    t.server(oslorpc.Target(topic=topic, server="a"), [methods]).start()
    assert run(local, "call", topic, "role")[:2] == (0, '"unset"')
    assert seen.of("accept")[0].caller


def test_metadata_in_headers(opened, local, topic):
    seen, methods = Seen(), Methods()
    t = opened(local, interceptors=[seen.interceptor])
    instance = t.server(oslorpc.Target(topic=topic, server="a"), [methods]).start()
    request = pb.CallRequest(message={"target": {"topic": topic}, "method": "role", "metadata": {"a": "1"}})
    with grpc.insecure_channel(instance.addr, [("grpc.default_authority", "localhost")]) as channel:
        call = channel.unary_unary(connection.CALL, pb.CallRequest.SerializeToString)
        call(request, timeout=10, metadata=(("role", "reader"), ("oslorpc-topic", topic), ("x-bin", b"1")))
    assert methods.roles == ["reader"]
    assert seen.of("accept")[0].metadata == {"role": "reader", "a": "1"}


def test_multicall_that_is_broken_off(opened, local, topic):
    seen = Seen()
    opened(local).server(oslorpc.Target(topic=topic, server="a"), [Methods()]).start()
    t = opened(local, interceptors=[seen.interceptor])
    with t.client(oslorpc.Target(topic=topic), timeout=10).multicall({}, "each") as items:
        assert next(items) == "none" and seen.of("send") == []
    assert len(seen.of("send")) == 1, "the message ends with the iterator"
