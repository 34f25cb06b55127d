"""Stubs of typed services: messages need the same versions as in Go, and Go's servers answer."""

import base64
import concurrent.futures
import contextlib
import importlib
import os
import pathlib
import re
import subprocess
import sys

import golden
import grpc
import pytest
from conftest import ROOT, Process, until
from google.protobuf import descriptor_pb2, descriptor_pool, empty_pb2, message_factory

import oslorpc
from oslorpc.typed import service
from oslorpc.typed.message import escape
from oslorpc.typed.need import Needs
from oslorpc.v1 import options_pb2
from oslorpc.versions import Version

UPGRADE_SERVER = os.environ.get("UPGRADE_SERVER", str(ROOT / ".bin" / "upgrade-server"))


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """The directory with the code that protoc generated from the test contracts."""
    directory = tmp_path_factory.mktemp("generated")
    sources = [ROOT / "internal" / "typed", ROOT / "examples" / "upgrade" / "typed"]
    files = [str(path) for source in sources for path in source.rglob("*.proto")]
    includes = [f"-I{path}" for path in (*sources, ROOT / "proto")]
    command = [sys.executable, "-m", "grpc_tools.protoc", *includes]
    outs = [f"--python_out={directory}", f"--grpc_python_out={directory}"]
    subprocess.run([*command, *outs, *files], check=True, timeout=60)
    sys.path.append(str(directory))
    yield directory
    sys.path.remove(str(directory))


@pytest.fixture(scope="module")
def inventory(generated):
    return importlib.import_module("typedtest.v1.inventory_pb2")


@pytest.fixture(scope="module")
def inventory_stub(generated):
    return importlib.import_module("typedtest.v1.inventory_pb2_grpc").InventoryServiceStub


@pytest.fixture(scope="module")
def upgrade(generated):
    return importlib.import_module("upgrade.v1.upgrade_pb2")


@pytest.fixture(scope="module")
def remote_stub(generated):
    return importlib.import_module("upgrade.v1.upgrade_pb2_grpc").RemoteServiceStub


@pytest.mark.parametrize("case", golden.load("typed.json", "messages"), ids=golden.name)
def test_needs(inventory, case):
    method = service.find(case["method"])
    of = message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(method.input))

    def read(text):
        return of.FromString(base64.b64decode(text))

    message = read(case["message"])
    assert [str(v) for v in method.needs.steps(message)] == [step["version"] for step in case["steps"]]
    for step in case["steps"]:
        fitted = method.needs.fit(message, Version.parse(step["version"]))
        assert fitted == read(step["message"])
        assert str(method.needs.of(fitted)[0]) == step["version"]  # a server at this version knows all of it
    assert message == read(case["message"])  # the message itself is never changed


@pytest.mark.parametrize("case", golden.load("typed.json", "methods"), ids=lambda case: case["path"])
def test_methods(inventory, case):
    m = service.find(case["path"])
    found = {"path": m.path, "since": str(m.since), "delivery": m.delivery}
    found |= {"topic": m.service.topic, "namespace": m.service.namespace, "version": str(m.service.version)}
    assert found == case


def file_with(name, mark):
    """Register a service whose request has a field in a oneof. ``mark`` gives it wrong options."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{name}.proto", package=name, syntax="proto3")
    file.dependency.append("oslorpc/v1/options.proto")
    request = file.message_type.add(name="Request")
    request.oneof_decl.add(name="one")
    kinds = descriptor_pb2.FieldDescriptorProto
    field = request.field.add(name="a", number=1, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL, oneof_index=0)
    declared = file.service.add(name="Service")
    method = declared.method.add(name="Do", input_type=f".{name}.Request", output_type=f".{name}.Request")
    declared.options.Extensions[options_pb2.service].version = "1.2"
    mark(declared, method, field)
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{name}.Request"))


def set_option(options, extension, **fields):
    options.Extensions[extension].MergeFrom(type(options.Extensions[extension])(**fields))


@pytest.mark.parametrize(
    ("name", "mark", "why"),
    [
        ("badversion", lambda s, m, f: set_option(s.options, options_pb2.service, version="1"), "malformed"),
        ("late", lambda s, m, f: set_option(m.options, options_pb2.method, since="1.3"), "is later than the version"),
        (
            "result",
            lambda s, m, f: set_option(m.options, options_pb2.method, delivery=options_pb2.DELIVERY_CAST),
            "must return google.protobuf.Empty",
        ),
    ],
)
def test_wrong_methods(name, mark, why):
    file_with(name, mark)
    with pytest.raises(oslorpc.Error, match=why) as raised:
        service.find(f"/{name}.Service/Do")
    assert raised.value.kind is oslorpc.Kind.INVALID


@pytest.mark.parametrize(
    ("name", "rules", "why"),
    [
        ("pinned", {"since": "1.1", "older_peers": options_pb2.OLDER_PEERS_DROP}, "the field is in a oneof"),
        ("nosince", {"older_peers": options_pb2.OLDER_PEERS_DROP}, "older_peers needs since|the field is in a oneof"),
        ("badsince", {"since": "one"}, "since: version 'one' is malformed"),
    ],
)
def test_wrong_fields(name, rules, why):
    request = file_with(name, lambda s, m, f: set_option(f.options, options_pb2.field, **rules))
    with pytest.raises(oslorpc.Error, match=why):
        Needs(Version(1, 0)).of(request(a="b"))


def test_escape():
    assert escape("a-b") == "a-b"
    assert escape("ä,% ") == "%C3%A4%2C%25%20"


@pytest.fixture
def stock_server(generated, inventory):
    """A plain gRPC server of the contract. It records (method, request, headers) of each RPC."""
    grpc_code = importlib.import_module("typedtest.v1.inventory_pb2_grpc")
    got = []

    class Inventory(grpc_code.InventoryServiceServicer):
        def note(self, method, request, context):
            got.append((method, request, dict(context.invocation_metadata())))

        def GetVolume(self, request, context):  # noqa: N802
            self.note("GetVolume", request, context)
            if request.name == "broken":
                context.abort(grpc.StatusCode.INTERNAL, "broken")
            return inventory.GetVolumeResponse()

        def ReportUsage(self, request, context):  # noqa: N802
            self.note("ReportUsage", request, context)
            return empty_pb2.Empty()

        def InvalidateCache(self, request, context):  # noqa: N802
            self.note("InvalidateCache", request, context)
            if request.name == "broken":
                context.abort(grpc.StatusCode.INTERNAL, "broken")
            return empty_pb2.Empty()

        def WatchVolumes(self, request, context):  # noqa: N802
            self.note("WatchVolumes", request, context)
            for n in range(3):
                yield inventory.WatchVolumesResponse(name=f"{request.prefix}{n}")

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
    grpc_code.add_InventoryServiceServicer_to_server(Inventory(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"static://inventory=127.0.0.1:{port}", got
    server.stop(None).wait()


def test_deliveries(stock_server, inventory, inventory_stub):
    url, got = stock_server
    with oslorpc.open(url) as transport:
        client = transport.client(oslorpc.Target(), timeout=20, metadata={"Trace": "t1"}, order_key="a b")
        stub = inventory_stub(client.channel({"user": "u"}))
        stub.ReportUsage(inventory.ReportUsageRequest(name="a", limit=1))
        stub.InvalidateCache(inventory.InvalidateCacheRequest(name="a", labels=["b"]))
        changes = stub.WatchVolumes(inventory.WatchVolumesRequest(prefix="v"))
        assert [change.name for change in changes] == ["v0", "v1", "v2"]
        changes = stub.WatchVolumes(inventory.WatchVolumesRequest(prefix="v", revision=1))
        assert next(changes).name == "v0"
        assert changes.cancel()
    sent = [(method, headers["oslorpc-version"]) for method, _, headers in got]
    assert sent == [
        ("ReportUsage", "1.2"),
        ("InvalidateCache", "1.2"),
        ("WatchVolumes", "1.0"),
        ("WatchVolumes", "1.1"),
    ]
    headers = got[0][2]
    wanted = {"topic": "inventory", "exchange": "openstack", "order-key": "a%20b", "context-bin": b'{"user":"u"}'}
    assert {name: headers[f"oslorpc-{name}"] for name in wanted} == wanted
    assert headers["trace"] == "t1"
    assert len({headers["oslorpc-id"] for _, _, headers in got}) == len(got)


class Points:
    """Records (point, message) at the end of each call of a client's interceptors, followed by the
    error's kind if it failed.
    """

    def __init__(self):
        self.ended = []
        self.interceptor = oslorpc.Interceptor(send=self.around("send"), attempt=self.around("attempt"))

    def around(self, point):
        @contextlib.contextmanager
        def note(m):
            m.metadata[f"At-{point}"] = str(m.attempt)
            try:
                yield
            except oslorpc.Error as e:
                self.ended.append((point, m, e.kind))
                raise
            self.ended.append((point, m, None))

        return note


def test_interceptors(stock_server, inventory, inventory_stub):
    url, got = stock_server
    points = Points()
    with oslorpc.open(url, caller="tester", interceptors=[points.interceptor]) as transport:
        client = transport.client(oslorpc.Target(), timeout=20, metadata={"Trace": "t1"}, order_key="k")
        stub = inventory_stub(client.channel())
        everyone = inventory_stub(client.prepare(fanout=True).channel())
        stub.ReportUsage(inventory.ReportUsageRequest(name="a", limit=1))
        everyone.ReportUsage(inventory.ReportUsageRequest(name="a"))
        stub.InvalidateCache(inventory.InvalidateCacheRequest(name="a"))
        with stub.WatchVolumes(inventory.WatchVolumesRequest(prefix="v", revision=1)) as changes:
            assert next(changes).name == "v0"
            assert [point for point, _, _ in points.ended] == ["attempt", "send"] * 3 + ["attempt"]
        with pytest.raises(oslorpc.Error):
            stub.GetVolume(inventory.GetVolumeRequest(name="broken"))
    deliveries = ["cast", "fanout", "fanout", "multicall", "call"]
    for n, (delivery, (_, _, headers)) in enumerate(zip(deliveries, got, strict=True)):
        (inner, attempt, kind), (outer, send, same) = points.ended[2 * n : 2 * n + 2]
        assert (inner, outer, attempt.delivery, send.delivery) == ("attempt", "send", delivery, delivery)
        assert attempt.service == send.service == "typedtest.v1.InventoryService"
        assert (attempt.target.topic, attempt.caller, attempt.order_key) == ("inventory", "tester", "k")
        assert (attempt.attempt, send.attempt, bool(attempt.addr), send.addr) == (1, 0, True, "")
        assert (kind is None) == (same is None) == (delivery != "call")
        sent = {name: headers[name] for name in ("trace", "at-send", "at-attempt")}
        assert sent == {"trace": "t1", "at-send": "0", "at-attempt": "1"}
        assert (headers["oslorpc-version"], headers["oslorpc-id"]) == (attempt.version, attempt.id)


@pytest.mark.parametrize("point", ["send", "attempt"])
def test_interceptors_that_refuse_or_hide(stock_server, inventory, inventory_stub, point):
    url, got = stock_server

    @contextlib.contextmanager
    def refuse(m):
        raise oslorpc.Error(oslorpc.Kind.ACCESS_DENIED, "not sent")
        yield

    @contextlib.contextmanager
    def hide(m):
        with contextlib.suppress(oslorpc.Error):
            yield

    @contextlib.contextmanager
    def spoil(m):
        m.metadata["note"] = "ä"
        yield

    def stub(*around):
        interceptors = [oslorpc.Interceptor(**{point: function}) for function in around]
        transport = stack.enter_context(oslorpc.open(url, interceptors=interceptors))
        return inventory_stub(transport.client(oslorpc.Target(), timeout=20).channel())

    cases = [
        ("GetVolume", inventory.GetVolumeRequest()),
        ("ReportUsage", inventory.ReportUsageRequest()),
        ("InvalidateCache", inventory.InvalidateCacheRequest()),
        ("WatchVolumes", inventory.WatchVolumesRequest()),
    ]
    with contextlib.ExitStack() as stack:
        refusing, hiding, spoiling = stub(refuse), stub(hide, refuse), stub(spoil)
        for name, request in cases:
            for of, kind in ((refusing, "AccessDenied"), (hiding, "Invalid")):
                with pytest.raises(oslorpc.Error) as e:
                    getattr(of, name)(request)
                assert (e.value.kind, e.value.safe_to_retry) == (kind, True)
        if point == "attempt":
            with pytest.raises(oslorpc.Error, match="'note' cannot be a header") as e:
                spoiling.ReportUsage(inventory.ReportUsageRequest())
            assert (e.value.kind, e.value.safe_to_retry) == ("BadArguments", True)
        assert got == []
        hiding = stub(hide)
        assert hiding.GetVolume(inventory.GetVolumeRequest(name="broken")) == inventory.GetVolumeResponse()
        assert hiding.InvalidateCache(inventory.InvalidateCacheRequest(name="broken")) == empty_pb2.Empty()


def test_servers_are_told_what_they_missed(stock_server, inventory, inventory_stub):
    url, got = stock_server
    with oslorpc.open(url) as transport:
        stub = inventory_stub(transport.client(oslorpc.Target(), timeout=20).channel())
        with pytest.raises(oslorpc.Error, match="broken"):
            stub.InvalidateCache(inventory.InvalidateCacheRequest(name="broken"))
        stub.ReportUsage(inventory.ReportUsageRequest(name="a"))
        stub.ReportUsage(inventory.ReportUsageRequest(name="a"))
    lost, told, after = [headers.get("oslorpc-missed") for _, _, headers in got]
    assert lost is None
    assert re.fullmatch(r"\d+\.\d{9}s", told)
    assert after is None, "it was told, and is told again"


@pytest.fixture
def upgrade_server(url):
    assert pathlib.Path(UPGRADE_SERVER).is_file(), "make test-python builds it"
    running = []

    def start(version):
        command = (UPGRADE_SERVER, "--transport", url, "--version", version, "--name", f"node-{version}")
        running.append(Process(*command))
        running[-1].await_line("ready")

    yield start
    for program in running:
        program.end()


def test_go_servers(url, upgrade_server, upgrade, remote_stub):
    upgrade_server("1.1")
    upgrade_server("1.2")
    with oslorpc.open(url) as transport:
        client = transport.client(oslorpc.Target(), timeout=20)
        stub = remote_stub(client.channel({"request": "r1"}))
        servers = set()

        def both_answered():
            answer = stub.MyRemoteMethod(upgrade.MyRemoteMethodRequest(arg1="a", arg2="b")).answer
            assert answer.version == "1.0"
            servers.add(answer.server)
            return servers == {"node-1.1", "node-1.2"}

        until("both servers answer", both_answered)
        dry = upgrade.MyRemoteMethod2Request(arg1="a", effect=upgrade.EFFECT_DRY_RUN)
        answer = stub.MyRemoteMethod2(dry).answer
        assert (answer.server, answer.version) == ("node-1.2", "1.2")
        droppable = upgrade.MyRemoteMethod2Request(arg1="a", arg2="gone")
        old = remote_stub(client.prepare(server="node-1.1").channel())
        answer = old.MyRemoteMethod2(droppable, timeout=20).answer
        assert (answer.server, answer.version) == ("node-1.1", "1.1")
        assert droppable.arg2 == "gone"
        missed = transport._fleet._missed
        missed.server("openstack", "upgrade", "node-1.1")
        assert old.MyRemoteMethod2(droppable).answer.server == "node-1.1"
        assert missed._records == {}, "Go reads the report"
        with pytest.raises(oslorpc.Error) as refused:
            old.MyRemoteMethod2(dry)
        assert refused.value.kind is oslorpc.Kind.UNSUPPORTED_VERSION
        assert refused.value.safe_to_retry
        for cap, wanted in (("1.1", "1.1"), ("auto", "1.1"), ("1.2", "1.2")):
            capped = remote_stub(client.prepare(version_cap=cap, server="node-1.2" if cap == "1.2" else None).channel())
            assert capped.MyRemoteMethod2(droppable).answer.version == wanted
        with pytest.raises(oslorpc.Error) as above:
            remote_stub(client.prepare(version_cap="1.1").channel()).MyRemoteMethod2(dry)
        assert above.value.kind is oslorpc.Kind.VERSION_CAP_EXCEEDED
        assert above.value.safe_to_retry


def test_not_sent(local, inventory, inventory_stub):
    with oslorpc.open(local, max_size=1000) as transport:
        client = transport.client(oslorpc.Target(), fail_fast=True)
        stub = inventory_stub(client.channel())
        cases = [
            (stub.GetVolume, inventory.GetVolumeRequest(), {}, "NoInstance"),
            (stub.ReportUsage, inventory.ReportUsageRequest(), {}, "NoInstance"),
            (stub.InvalidateCache, inventory.InvalidateCacheRequest(), {}, "NoInstance"),
            (stub.WatchVolumes, inventory.WatchVolumesRequest(), {}, "NoInstance"),
            (stub.GetVolume, inventory.FindVolumeRequest(), {}, "BadArguments"),
            (stub.GetVolume, inventory.GetVolumeRequest(name="a" * 1001), {}, "TooLarge"),
            (stub.GetVolume, inventory.GetVolumeRequest(), {"metadata": (("a", "b"),)}, "Invalid"),
            (stub.ImportVolumes, iter(()), {}, "Invalid"),
            (stub.SyncVolumes, iter(()), {}, "Invalid"),
        ]
        for call, request, given, kind in cases:
            with pytest.raises(oslorpc.Error) as raised:
                call(request, **given)
            assert (raised.value.kind, raised.value.safe_to_retry) == (kind, True)
        everyone = inventory_stub(client.prepare(fanout=True).channel())
        with pytest.raises(oslorpc.Error, match="goes to one server"):
            everyone.GetVolume(inventory.GetVolumeRequest())
