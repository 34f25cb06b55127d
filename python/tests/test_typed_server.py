"""Typed services on servers of this package: unchanged servicers, at the versions that their
options say.
"""

import asyncio
import importlib
import json
import os
import subprocess
import threading

import grpc
import pytest
from conftest import ROOT, until
from google.protobuf import empty_pb2
from test_typed import generated, inventory, inventory_stub, remote_stub, upgrade  # noqa: F401

import oslorpc
from oslorpc import aio
from oslorpc.errors import Kind

UPGRADE_CLIENT = os.environ.get("UPGRADE_CLIENT", str(ROOT / ".bin" / "upgrade-client"))
SERVICE = "typedtest.v1.InventoryService"


class NotFoundError(Exception):
    def __init__(self, volume):
        super().__init__(f"no volume {volume}")
        self.volume = volume


@pytest.fixture
def register(generated):  # noqa: F811
    return importlib.import_module("typedtest.v1.inventory_pb2_grpc").add_InventoryServiceServicer_to_server


@pytest.fixture
def servicer(generated, inventory):  # noqa: F811
    """A servicer that records (method, request, context) of each message."""
    stock = importlib.import_module("typedtest.v1.inventory_pb2_grpc").InventoryServiceServicer

    class Inventory(stock):
        def __init__(self):
            self.got, self.waiting, self.canceled = [], threading.Event(), threading.Event()

        def GetVolume(self, request, context):  # noqa: N802
            self.got.append(("GetVolume", request, context))
            if request.name == "broken":
                raise ValueError("it is broken")
            if request.name == "missing":
                raise NotFoundError(request.name)
            if request.name == "aborted":
                context.abort(grpc.StatusCode.NOT_FOUND, "no such volume")
            if request.name == "wrong":
                return inventory.FindVolumeResponse()
            if request.name == "slow":
                self.waiting.set()
                context.request_context.wait_canceled(20)
                self.canceled.set()
                assert not context.is_active()
            return inventory.GetVolumeResponse(name=request.name)

        async def ResizeVolume(self, request, context):  # noqa: N802
            self.got.append(("ResizeVolume", request, context))
            await asyncio.sleep(0)
            if request.name == "aborted":
                await context.abort(grpc.StatusCode.OUT_OF_RANGE, "too large")
            return inventory.ResizeVolumeResponse()

        def SnapshotVolume(self, request, context):  # noqa: N802
            return inventory.SnapshotVolumeResponse()

        def ReportUsage(self, request, context):  # noqa: N802
            self.got.append(("ReportUsage", request, context))
            return empty_pb2.Empty()

        def InvalidateCache(self, request, context):  # noqa: N802
            self.got.append(("InvalidateCache", request, context))
            return empty_pb2.Empty()

        def WatchVolumes(self, request, context):  # noqa: N802
            for n in range(3):
                yield inventory.WatchVolumesResponse(name=f"{request.prefix}{n}")
            if request.prefix == "broken":
                raise ValueError("it is broken")

    return Inventory()


@pytest.fixture
def offer(opened, url, register):
    def begin(servicer, name="a", endpoints=(), open_with=None, **options):
        transport = opened(url, exceptions={"inventory.NotFound": NotFoundError}, **(open_with or {}))
        server = transport.server(oslorpc.Target(topic="inventory", server=name), list(endpoints), **options)
        register(servicer, server)
        server.start()
        return server

    return begin


@pytest.fixture
def client(opened, url):
    return opened(url, caller="tester", exceptions={"inventory.NotFound": NotFoundError}).client(
        oslorpc.Target(), timeout=20, metadata={"trace": "t1"}
    )


def test_deliveries(offer, servicer, client, inventory, inventory_stub):  # noqa: F811
    offer(servicer)
    stub = inventory_stub(client.channel({"user": "u"}))
    assert stub.GetVolume(inventory.GetVolumeRequest(name="v")).name == "v"
    assert stub.ResizeVolume(inventory.ResizeVolumeRequest(name="v", size=2)) == inventory.ResizeVolumeResponse()
    stub.ReportUsage(inventory.ReportUsageRequest(name="a", limit=1))
    stub.InvalidateCache(inventory.InvalidateCacheRequest(name="a"))
    changes = stub.WatchVolumes(inventory.WatchVolumesRequest(prefix="v"))
    assert [change.name for change in changes] == ["v0", "v1", "v2"]
    until("casts ran", lambda: len(servicer.got) == 4)
    method, request, context = servicer.got[0]
    ctxt = context.request_context
    assert (method, request.name, ctxt, ctxt.method, ctxt.server) == ("GetVolume", "v", {"user": "u"}, "GetVolume", "a")
    assert ctxt.version == "1.0" and ctxt.caller == "tester" and ctxt.message_id and ctxt.metadata["trace"] == "t1"
    assert 0 < context.time_remaining() <= 20 and context.peer()
    assert ("trace", "t1") in [(key, value) for key, value in context.invocation_metadata()]


def test_asyncio(url, servicer, register, client, inventory, inventory_stub):  # noqa: F811
    async def main():
        async with aio.open(url) as transport:
            server = transport.server(oslorpc.Target(topic="inventory", server="a"), [])
            register(servicer, server)
            await server.start()
            async with aio.open(url) as other:
                stub = inventory_stub(other.client(oslorpc.Target(), timeout=20).channel())
                assert (await stub.GetVolume(inventory.GetVolumeRequest(name="v"))).name == "v"
                await stub.ResizeVolume(inventory.ResizeVolumeRequest(name="v"))
                changes = stub.WatchVolumes(inventory.WatchVolumesRequest(prefix="v"))
                assert [change.name async for change in changes] == ["v0", "v1", "v2"]

    asyncio.run(main())


@pytest.mark.parametrize("hide", ["", "failures"])
def test_failures(offer, servicer, client, inventory, inventory_stub, url, opened, register, hide):  # noqa: F811
    if hide:
        client = opened(f"{url}{'&' if '?' in url else '?'}hide={hide}").client(oslorpc.Target(), timeout=20)
    offer(servicer)
    stub = inventory_stub(client.channel())
    cases = [
        ("aborted", "Remote", "no such volume"),
        ("broken", "Remote", "broken"),
        ("wrong", "BadResult", "it must return"),
    ]
    for name, kind, says in cases:
        with pytest.raises(oslorpc.Error, match=says) as e:
            stub.GetVolume(inventory.GetVolumeRequest(name=name))
        assert (e.value.kind, e.value.safe_to_retry, e.value.server) == (kind, False, "a")
    with pytest.raises(oslorpc.Error, match="too large"):
        stub.ResizeVolume(inventory.ResizeVolumeRequest(name="aborted"))
    if not hide:
        with pytest.raises(NotFoundError, match="no volume missing"):
            stub.GetVolume(inventory.GetVolumeRequest(name="missing"))
    changes = stub.WatchVolumes(inventory.WatchVolumesRequest(prefix="broken"))
    with pytest.raises(oslorpc.RemoteError, match="broken"):
        list(changes)
    with pytest.raises(oslorpc.Error):
        stub.ImportVolumes(iter(()))


def test_stock_clients(offer, servicer, client, inventory, inventory_stub, opened, url):  # noqa: F811
    """Stubs on a plain gRPC channel need no headers, and get the status that a method chose."""
    offer(servicer)
    instance = next(i for i in opened(url).instances() if i.topic == "inventory")
    with grpc.insecure_channel(instance.addr) as channel:
        stub = inventory_stub(channel)
        assert stub.GetVolume(inventory.GetVolumeRequest(name="v"), timeout=20).name == "v"
        for name, code in (("aborted", grpc.StatusCode.NOT_FOUND), ("broken", grpc.StatusCode.UNKNOWN)):
            with pytest.raises(grpc.RpcError) as e:
                stub.GetVolume(inventory.GetVolumeRequest(name=name), timeout=20)
            assert e.value.code() is code
        with pytest.raises(grpc.RpcError) as e:
            stub.ImportVolumes(iter(()), timeout=20)
        assert e.value.code() in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.INTERNAL)
        for headers, says in [
            ([("oslorpc-version", "1.9")], "version 1.9 of the namespace .volumes. is not served"),
            ([("oslorpc-version", "one")], "oslorpc-version"),
            ([("oslorpc-version", "1.0"), ("oslorpc-version", "1.0")], "more than once"),
            ([("oslorpc-topic", "other")], "no server of this process matches the target"),
            ([("oslorpc-topic", "%zz")], "malformed"),
            ([("oslorpc-instance", instance.id), ("oslorpc-server", "b")], "leave one of them out"),
            ([("oslorpc-instance", "x.1")], "no server of this process matches the target"),
            ([("oslorpc-missed", "soon")], "is not a duration"),
            ([("oslorpc-context-bin", b"[]")], "must be a JSON object"),
            ([("oslorpc-context-bin", b"\xff")], "must be a JSON object"),
            ([("oslorpc-caller-bin", b"\xff")], "malformed"),
        ]:
            with pytest.raises(grpc.RpcError, match=says):
                stub.GetVolume(inventory.GetVolumeRequest(name="v"), timeout=20, metadata=headers)
        call = channel.unary_unary(f"/{SERVICE}/GetVolume")
        with pytest.raises(grpc.RpcError, match="cannot be decoded"):
            call(b"\xff", timeout=20)
        twice = [("oslorpc-id", "m1")]
        stub.ReportUsage(inventory.ReportUsageRequest(name="twice"), timeout=20, metadata=twice)
        stub.ReportUsage(inventory.ReportUsageRequest(name="twice"), timeout=20, metadata=twice)
        with pytest.raises(grpc.RpcError, match="received before"):
            stub.GetVolume(inventory.GetVolumeRequest(name="twice"), timeout=20, metadata=twice)
    until("the cast ran", lambda: any(request.name == "twice" for _, request, _ in servicer.got))
    assert sum(request.name == "twice" for _, request, _ in servicer.got) == 1


def test_versions(offer, servicer, client, inventory, inventory_stub):  # noqa: F811
    offer(servicer, "old", service_versions={SERVICE: "1.0"})
    old = inventory_stub(client.prepare(server="old").channel())
    with pytest.raises(oslorpc.Error) as e:
        old.SnapshotVolume(inventory.SnapshotVolumeRequest())
    assert (e.value.kind, e.value.safe_to_retry) == (Kind.UNSUPPORTED_VERSION, True)
    offer(servicer, "new")
    stub = inventory_stub(client.channel())
    inventory_stub(client.prepare(server="new").channel()).GetVolume(
        inventory.GetVolumeRequest(name="v")
    )  # the client now knows it
    for _ in range(4):
        stub.SnapshotVolume(inventory.SnapshotVolumeRequest())
    old.GetVolume(inventory.GetVolumeRequest(name="v"))
    assert servicer.got[-1][2].request_context.server == "old"


@pytest.mark.parametrize(
    ("version", "says"), [("1.3", "its options say 1.2"), ("2.0", "its options say"), ("x", "malformed")]
)
def test_wrong_versions(offer, servicer, version, says):
    with pytest.raises(oslorpc.Error, match=says) as e:
        offer(servicer, service_versions={SERVICE: version})
    assert e.value.kind is Kind.INVALID


def test_registering_late_or_twice(offer, servicer, register):
    server = offer(servicer)
    with pytest.raises(oslorpc.Error, match="before the server starts"):
        register(servicer, server)
    server.stop()
    with pytest.raises(oslorpc.Error, match="appears twice"):
        register(servicer, server)
    server.start()


def test_limits_hold(offer, servicer, client, inventory, inventory_stub):  # noqa: F811
    offer(servicer, workers=1, queue=0)
    stub = inventory_stub(client.prepare(retry=0).channel())
    with pytest.raises(oslorpc.Error) as e:
        stub.GetVolume(inventory.GetVolumeRequest(name="slow"), timeout=1)
    assert e.value.kind is Kind.TIMEOUT
    assert servicer.canceled.wait(20)
    other = threading.Thread(
        target=lambda: pytest.raises(oslorpc.Error, stub.GetVolume, inventory.GetVolumeRequest(name="slow"), timeout=5)  # noqa: RUF061
    )
    servicer.waiting.clear()
    other.start()
    assert servicer.waiting.wait(20)
    with pytest.raises(oslorpc.Error) as e:
        stub.GetVolume(inventory.GetVolumeRequest(name="v"))
    assert (e.value.kind, e.value.safe_to_retry) == (Kind.REFUSED, True)
    other.join(30)


class Untyped:
    target = oslorpc.Target(namespace="volumes", version="1.2")

    def echo(self, ctxt, x: int):
        return x


def test_untyped_messages_are_for_other_endpoints(offer, servicer, client):
    offer(servicer, endpoints=[Untyped()])
    plain = client.prepare(topic="inventory", namespace="volumes")
    assert plain.call({}, "echo", x=1) == 1
    with pytest.raises(oslorpc.Error) as e:
        plain.call({}, "GetVolume", name="v")
    assert e.value.kind is Kind.NO_SUCH_METHOD and "there is echo" in str(e.value)


def test_policies_and_interceptors(offer, servicer, client, inventory, inventory_stub, tmp_path, monkeypatch):  # noqa: F811
    policy, seen = tmp_path / "policy.json", []
    rule = {"name": "reads", "from": ["anyone"], "namespace": ["volumes"], "method": ["GetVolume", "WatchVolumes"]}
    policy.write_text(json.dumps({"rules": [rule]}))
    with monkeypatch.context() as m:
        m.setenv("OSLORPC_POLICY", str(policy))
        offer(servicer, open_with={"interceptors": [oslorpc.Interceptor(accept=seen.append)]})
    stub = inventory_stub(client.channel())
    stub.GetVolume(inventory.GetVolumeRequest(name="v"))
    with pytest.raises(oslorpc.Error) as e:
        stub.ReportUsage(inventory.ReportUsageRequest(name="v"))
    assert (e.value.kind, e.value.safe_to_retry) == (Kind.ACCESS_DENIED, True)
    list(stub.WatchVolumes(inventory.WatchVolumesRequest(prefix="v")))
    assert [(m.service, m.method, m.delivery, m.target.topic, m.metadata["trace"]) for m in seen] == [
        (SERVICE, "GetVolume", "call", "inventory", "t1"),
        (SERVICE, "WatchVolumes", "multicall", "inventory", "t1"),
    ]


def test_go_sees_and_calls_it(opened, url, run, generated, upgrade, remote_stub):  # noqa: F811
    grpc_code = importlib.import_module("upgrade.v1.upgrade_pb2_grpc")

    class Remote(grpc_code.RemoteServiceServicer):
        def __init__(self, release):
            self.release = release

        def answer(self, context):
            ctxt = context.request_context
            return upgrade.Answer(server=ctxt.server, release=self.release, version=ctxt.version)

        def MyRemoteMethod(self, request, context):  # noqa: N802
            return upgrade.MyRemoteMethodResponse(answer=self.answer(context), arg2=request.arg2)

        def MyRemoteMethod2(self, request, context):  # noqa: N802
            return upgrade.MyRemoteMethod2Response(answer=self.answer(context), arg2=request.arg2)

    for release in ("1.1", "1.2"):
        server = opened(url).server(
            oslorpc.Target(topic="upgrade", server=f"node-{release}"), [],
            service_versions={"upgrade.v1.RemoteService": release},
        )  # fmt: skip
        grpc_code.add_RemoteServiceServicer_to_server(Remote(release), server)
        server.start()
    command = [UPGRADE_CLIENT, "--transport", url, "--typed", "--strict"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert "strictly: " in done.stdout and "node-1.2" in done.stdout.split("strictly: ")[1]
    done = subprocess.run([*command, "--cap", "auto"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and "(a, b): " in done.stdout and "ran it at 1.1" in done.stdout, done.stdout
    out = run(url, "info", "upgrade")[1]
    assert "MyRemoteMethod2(" in out and "version 1.1, namespace typed" in out, out
    assert run(url, "versions", "upgrade")[0] == 0
