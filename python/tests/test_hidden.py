"""Servers that hide failures, introspection and reflection."""

import contextlib
import re

import grpc
import pytest

import oslorpc
from oslorpc import status
from oslorpc.errors import Kind
from oslorpc.v1 import introspection_pb2 as introspection

MARKER = "Hush"


class ToldError(Exception):
    """A registered exception."""


class ExpectedError(Exception):
    """An exception that a method declares as expected."""


class HushError(Exception):
    """An exception that is neither registered nor expected, so it must stay hidden."""


class Failing:
    target = oslorpc.Target(version="1.2", namespace="own")

    def plain(self, ctxt):
        raise HushError("password Hush")

    async def awaited(self, ctxt):
        raise HushError("password Hush")

    def streamed(self, ctxt):
        yield 1
        raise HushError("password Hush")

    def of_ours(self, ctxt):
        raise oslorpc.Error(Kind.UNREACHABLE, "10.0.0.1:4000 Hush")

    def of_another_server(self, ctxt):
        raise oslorpc.RemoteError("db.Hush", "Hush", ("Hush",), ("Hush",), '"Hush"')

    @oslorpc.expose("told")
    def registered(self, ctxt):
        try:
            raise HushError("Hush")
        except HushError as e:
            raise ToldError("there is no volume v1") from e

    @oslorpc.expose(expected=[ExpectedError])
    def expected(self, ctxt):
        raise ExpectedError("the volume is busy")

    def hush_method(self, ctxt):
        pass

    def unwritable(self, ctxt):
        return HushError()


@pytest.fixture
def served(opened, local, topic):
    def begin(hide, endpoint=None, **options):
        options.setdefault("exceptions", {"volumes.NotFound": ToldError})
        t = opened(local + (f"?hide={hide}" if hide else ""), **options)
        instance = t.server(oslorpc.Target(topic=topic, server="a"), [endpoint or Failing()]).start()
        target = oslorpc.Target(topic=topic, namespace="own", version="1.2")
        return opened(local).client(target, timeout=30), instance

    return begin


def all_of(e):
    """Return all text in a sender's error, except the target and the method, which the sender
    knows.
    """
    return repr({k: v for k, v in vars(e).items() if k not in ("target", "method")}) + str(e.args)


def id_in(text):
    return re.search(r"the log of the server has the reason, as failure ([a-z2-7]{12})", text).group(1)


@pytest.mark.parametrize("method", ["plain", "awaited", "streamed", "of_ours", "of_another_server"])
def test_failures(served, method, caplog):
    client, _ = served("failures")
    deliveries = [lambda: list(client.multicall({}, method)), lambda: client.call({}, method)]
    if method != "streamed":
        monitored = client.prepare(call_monitor_timeout=5)
        deliveries += [lambda: monitored.call({}, method), lambda: raising(next(iter(client.gather({}, method))))]
    for deliver in deliveries:
        with pytest.raises(oslorpc.RemoteError) as e:
            deliver()
        assert MARKER not in all_of(e.value) and "test_hidden" not in all_of(e.value)
        assert (e.value.type, e.value.stack, e.value.hops, e.value.data) == ("error", (), ("a",), "")
        assert "failure=" + id_in(e.value.remote_message) in caplog.text
    assert MARKER in caplog.text


def raising(reply):
    if reply.error is not None:
        raise reply.error


def test_what_was_written_for_callers_arrives(served):
    client, _ = served("failures")
    for method, type_name, text in [("told", "volumes.NotFound", "no volume"), ("expected", "error", "is busy")]:
        with pytest.raises(oslorpc.RemoteError) as e:
            client.call({}, method)
        assert e.value.type == type_name and text in e.value.remote_message and not e.value.stack
        assert MARKER not in all_of(e.value)


def test_names(served, caplog):
    client, _ = served("failures")
    for asks, kind in [
        (lambda: client.call({}, "whohush"), Kind.NO_SUCH_METHOD),
        (lambda: client.call({}, "unwritable"), Kind.BAD_RESULT),
    ]:
        with pytest.raises(oslorpc.Error) as e:
            asks()
        text = all_of(e.value).replace("whohush", "")
        assert e.value.kind is kind and "hush" not in text.lower(), text
    assert "failure=" + id_in(e.value.message) in caplog.text


def test_versions_of_a_namespace_are_told_and_no_others(served):
    """The raw answer names the versions of the namespace that was asked for, and no others."""
    _, instance = served("failures")
    for namespace, offered in [("own", ["1.2"]), ("other", [])]:
        e = raw_error(instance, namespace, "9.0")
        assert [i.version for i in e.implemented] == offered
        assert "own" not in e.message.replace("unknown", "") or namespace == "own"


def raw_error(instance, namespace, version):
    from oslorpc.v1 import rpc_pb2 as rpc

    request = rpc.CallRequest()
    m = request.message
    m.target.topic, m.target.namespace, m.target.version, m.method = instance.topic, namespace, version, "plain"
    with channel(instance) as c, pytest.raises(grpc.RpcError) as e:
        c.unary_unary("/oslorpc.v1.RPCService/Call")(request.SerializeToString(), timeout=30)
    details = dict(e.value.trailing_metadata())[status.DETAILS]
    return status.details_of(details)[0]


def channel(instance):
    return grpc.insecure_channel(instance.addr, [("grpc.default_authority", "localhost")])


@pytest.mark.parametrize("point", ["accept", "run"])
def test_refusals(served, point, caplog):
    refusals = {
        "plain": ValueError("ldap Hush"),
        "meant": oslorpc.Error(Kind.ACCESS_DENIED, "only admins"),
    }
    chosen = []

    def accept(m):
        if m.delivery != "inspect":
            raise refusals[chosen[0]]

    @contextlib.contextmanager
    def run(m):
        raise refusals[chosen[0]]
        yield

    interceptor = oslorpc.Interceptor(**{point: {"accept": accept, "run": run}[point]})
    client, _ = served("failures", interceptors=[interceptor])
    for name in refusals:
        chosen[:] = [name]
        with pytest.raises(oslorpc.Error) as e:
            client.call({}, "hush_method")
        assert (e.value.kind, e.value.safe_to_retry) == (Kind.ACCESS_DENIED, True)
        assert MARKER not in all_of(e.value)
        if name == "meant":
            assert "only admins" in e.value.message
        else:
            assert "failure=" + id_in(e.value.message) in caplog.text


def test_with_nothing_hidden_it_arrives(served):
    client, _ = served("")
    with pytest.raises(oslorpc.RemoteError) as e:
        client.call({}, "plain")
    assert "password Hush" in e.value.remote_message and e.value.stack
    with pytest.raises(oslorpc.Error, match="hush_method"):
        client.call({}, "hushmethod")


@pytest.mark.parametrize("hide", ["introspection", "reflection", "introspection,reflection"])
def test_introspection_and_reflection(served, run, local, topic, hide):
    _, instance = served(hide)
    code, _, err = run(local, "info", topic)
    assert (code != 0) == ("introspection" in hide), err
    if code != 0:
        assert "introspection is hidden" in err
    assert run(local, "ping", topic)[0] == 0
    from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

    with channel(instance) as c:
        stub = reflection_pb2_grpc.ServerReflectionStub(c)
        asked = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]), timeout=30)
        if "reflection" in hide:
            with pytest.raises(grpc.RpcError) as e:
                next(asked)
            assert e.value.code() is grpc.StatusCode.UNIMPLEMENTED
        else:
            assert next(asked).list_services_response.service


def test_the_environment(monkeypatch, local):
    monkeypatch.setenv("OSLORPC_HIDE", " failures , introspection")
    with oslorpc.open(local) as t:
        assert t.security.trust.hide == {"failures", "introspection"}
    with pytest.raises(oslorpc.Error, match='"all" cannot be hidden: write failures, introspection or reflection'):
        oslorpc.open(local + "?hide=all")


def test_callers_are_counted_by_the_name_that_they_proved(served):
    import os

    client, instance = served("")
    client.call({}, "hush_method")
    with channel(instance) as c:
        ask = c.unary_unary(
            "/oslorpc.v1.IntrospectionService/GetInfo",
            introspection.GetInfoRequest.SerializeToString,
            introspection.GetInfoResponse.FromString,
        )
        (row,) = ask(introspection.GetInfoRequest(requests=True), timeout=30).servers[0].requests
    assert (row.method, row.accepted, row.identity) == ("hush_method", 1, f"user:{os.geteuid()}")
