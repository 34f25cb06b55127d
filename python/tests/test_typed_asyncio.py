"""Stubs of typed services with asyncio."""

import asyncio

import grpc
import pytest
from test_typed import generated, inventory, inventory_stub, remote_stub, stock_server, upgrade, upgrade_server  # noqa: F401

import oslorpc
from oslorpc import aio


def test_deliveries(stock_server, inventory, inventory_stub):  # noqa: F811
    url, got = stock_server

    async def work():
        async with aio.open(url) as transport:
            client = transport.client(oslorpc.Target(), timeout=20, metadata={"Trace": "t1"}, order_key="a b")
            stub = inventory_stub(client.channel({"user": "u"}))
            await stub.ReportUsage(inventory.ReportUsageRequest(name="a", limit=1))
            await stub.InvalidateCache(inventory.InvalidateCacheRequest(name="a", labels=["b"]))
            changes = stub.WatchVolumes(inventory.WatchVolumesRequest(prefix="v"))
            assert [change.name async for change in changes] == ["v0", "v1", "v2"]
            changes = stub.WatchVolumes(inventory.WatchVolumesRequest(prefix="v", revision=1))
            assert (await changes.read()).name == "v0"
            assert changes.cancel()
            assert await changes.read() is grpc.aio.EOF
            with pytest.raises(oslorpc.Error, match="broken") as e:
                await stub.GetVolume(inventory.GetVolumeRequest(name="broken"), timeout=10)
            assert e.value.kind is oslorpc.Kind.OUTCOME_UNKNOWN

    asyncio.run(work())
    sent = [(method, headers["oslorpc-version"]) for method, _, headers in got]
    assert sent[:4] == [
        ("ReportUsage", "1.2"),
        ("InvalidateCache", "1.2"),
        ("WatchVolumes", "1.0"),
        ("WatchVolumes", "1.1"),
    ]
    headers = got[0][2]
    wanted = {"topic": "inventory", "exchange": "openstack", "order-key": "a%20b", "context-bin": b'{"user":"u"}'}
    assert {name: headers[f"oslorpc-{name}"] for name in wanted} == wanted
    assert headers["trace"] == "t1"


def test_interceptors(stock_server, inventory, inventory_stub):  # noqa: F811
    url, got = stock_server
    seen = []

    def around(point):
        class Note:
            def __init__(self, m):
                self.m = m

            async def __aenter__(self):
                self.m.metadata[f"at-{point}"] = str(self.m.attempt)

            async def __aexit__(self, kind, error, trace):
                seen.append((point, self.m.delivery, getattr(error, "kind", None)))

        return Note

    import contextlib

    notes = {
        name: type(name, (around(name), contextlib.AbstractAsyncContextManager), {}) for name in ("send", "attempt")
    }

    async def work():
        async with aio.open(url, interceptors=[oslorpc.Interceptor(**notes)]) as transport:
            client = transport.client(oslorpc.Target(), timeout=20)
            stub = inventory_stub(client.channel())
            everyone = inventory_stub(client.prepare(fanout=True).channel())
            await stub.ReportUsage(inventory.ReportUsageRequest(name="a", limit=1))
            await everyone.ReportUsage(inventory.ReportUsageRequest(name="a"))
            assert [c.name async for c in stub.WatchVolumes(inventory.WatchVolumesRequest(prefix="v"))]
            with pytest.raises(oslorpc.Error):
                await stub.GetVolume(inventory.GetVolumeRequest(name="broken"))

    asyncio.run(work())
    unknown = oslorpc.Kind.OUTCOME_UNKNOWN
    ends = [("cast", None), ("fanout", None), ("multicall", None), ("call", unknown)]
    assert seen == [(point, *end) for end in ends for point in ("attempt", "send")]
    assert all((headers["at-send"], headers["at-attempt"]) == ("0", "1") for _, _, headers in got)


def test_go_servers(url, upgrade_server, upgrade, remote_stub):  # noqa: F811
    upgrade_server("1.1")
    upgrade_server("1.2")

    async def work():
        async with aio.open(url) as transport:
            client = transport.client(oslorpc.Target(), timeout=30)
            stub = remote_stub(client.channel({"request": "r1"}))
            servers = set()
            while servers != {"node-1.1", "node-1.2"}:
                answer = (await stub.MyRemoteMethod(upgrade.MyRemoteMethodRequest(arg1="a", arg2="b"))).answer
                servers.add(answer.server)
            dry = upgrade.MyRemoteMethod2Request(arg1="a", effect=upgrade.EFFECT_DRY_RUN)
            assert (await stub.MyRemoteMethod2(dry)).answer.server == "node-1.2"
            droppable = upgrade.MyRemoteMethod2Request(arg1="a", arg2="gone")
            old = remote_stub(client.prepare(server="node-1.1").channel())
            answer = (await old.MyRemoteMethod2(droppable, timeout=20)).answer
            assert (answer.server, answer.version) == ("node-1.1", "1.1")
            with pytest.raises(oslorpc.Error) as refused:
                await old.MyRemoteMethod2(dry)
            assert refused.value.kind is oslorpc.Kind.UNSUPPORTED_VERSION and refused.value.safe_to_retry
            auto = remote_stub(client.prepare(version_cap="auto").channel())
            assert (await auto.MyRemoteMethod2(droppable)).answer.version == "1.1"

    asyncio.run(work())


def test_not_sent(local, inventory, inventory_stub):  # noqa: F811
    async def fails(kind, call, *sent, **options):
        with pytest.raises(oslorpc.Error) as e:
            answer = call(*sent, **options)
            await (answer.read() if hasattr(answer, "read") else answer)
        assert (e.value.kind, e.value.safe_to_retry) == (kind, True)

    async def work():
        async with aio.open(local, max_size=1000) as transport:
            channel = transport.client(oslorpc.Target(), fail_fast=True).channel()
            stub = inventory_stub(channel)
            for kind, call, request, options in [
                ("NoInstance", stub.GetVolume, inventory.GetVolumeRequest(), {}),
                ("NoInstance", stub.WatchVolumes, inventory.WatchVolumesRequest(), {"wait_for_ready": False}),
                ("BadArguments", stub.GetVolume, inventory.FindVolumeRequest(), {}),
                ("TooLarge", stub.GetVolume, inventory.GetVolumeRequest(name="a" * 1001), {}),
                ("Invalid", stub.GetVolume, inventory.GetVolumeRequest(), {"metadata": (("a", "b"),)}),
                ("Invalid", stub.ImportVolumes, iter(()), {}),
                ("Invalid", stub.SyncVolumes, iter(()), {}),
            ]:
                await fails(kind, call, request, **options)
            await fails("Invalid", channel.channel_ready)

    asyncio.run(work())
