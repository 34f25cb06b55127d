"""Zones: a message for any server stays in its caller's zone while a server there can take it."""

import asyncio
import contextlib
import threading

import pytest
from conftest import free_ports, until

import oslorpc
from oslorpc import aio
from oslorpc.errors import Kind


class Methods:
    def __init__(self, zone, version):
        self.zone, self.entered, self.open = zone, threading.Event(), threading.Event()
        self.target = oslorpc.Target(version=version)

    def where(self, ctxt):
        return self.zone

    def wait(self, ctxt):
        self.entered.set()
        self.open.wait(20)


def places(client, calls=6):
    """Return the zones in which ``calls`` calls ran."""
    return sorted({client.call({}, "where") for _ in range(calls)})


class Fleet:
    """A server in az1, and one in az2."""

    def __init__(self, opened, url, topic):
        self._opened, self.url, self.topic = opened, url, topic
        self.methods = []

    def serve(self, zone, version="1.0", url=None, **options):
        methods = Methods(zone, version)
        self.methods.append(methods)
        transport = self._opened(url or self.url, zone=zone, stop_grace=0.05)
        server = transport.server(oslorpc.Target(topic=self.topic, server=f"in-{zone}"), [methods], **options)
        return server, server.start(), methods

    def caller(self, zone, url=None):
        return self._opened(url or self.url, zone=zone).client(oslorpc.Target(topic=self.topic), timeout=20)

    def two(self, version="1.0", **options):
        near = self.serve("az1", version, **options)
        self.serve("az2", "1.4")
        return *near, self.caller("az1")


@pytest.fixture
def fleet(opened, local, topic):
    f = Fleet(opened, local, topic)
    yield f
    for methods in f.methods:
        methods.open.set()


def test_messages_stay_while_a_server_is_there(fleet):
    near, _, _, client = fleet.two()
    assert places(client) == ["az1"]
    assert places(fleet.caller("az2")) == ["az2"]
    assert places(fleet.caller(""), 12) == ["az1", "az2"]
    assert places(fleet.caller("AZ1"), 12) == ["az1", "az2"]  # zones are case-sensitive
    near.stop()
    assert places(client) == ["az2"]
    near.start()
    until("messages return", lambda: "az1" in places(client))
    assert places(client) == ["az1"]


def test_messages_leave_while_queues_are_full(fleet):
    _, _, methods, client = fleet.two(workers=1, queue=0)
    waiting = threading.Thread(target=lambda: client.prepare(server="in-az1").call({}, "wait"))
    waiting.start()
    assert methods.entered.wait(20)
    assert places(client) == ["az2"]
    methods.open.set()
    waiting.join(20)
    assert places(client) == ["az1"]


def test_messages_leave_what_is_too_old_held_or_drains(fleet):
    near, _, _, client = fleet.two(hold=True)
    assert places(client) == ["az2"]
    near.release()
    until("messages return", lambda: places(client, 1) == ["az1"])
    assert places(client.prepare(version="1.2")) == ["az2"]
    near.drain()
    until("messages leave", lambda: places(client, 1) == ["az2"])
    assert places(client) == ["az2"]
    near.resume()
    until("messages return", lambda: places(client, 1) == ["az1"])


def test_messages_leave_a_server_that_cannot_be_reached(fleet, opened, topic):
    (port,) = free_ports(1)
    addr = fleet.serve("az2", url="static://other=127.0.0.1:1")[1].addr
    url = f"static://{topic}=127.0.0.1:{port};zone=az1,{topic}={addr};zone=az%32"
    assert places(fleet.caller("az1", url)) == ["az2"]
    assert [i.zone for i in opened(url).instances()] == ["az1", "az2"]


def test_asyncio_prefers_the_zone_too(fleet, topic):
    fleet.two()

    async def calls():
        async with aio.open(fleet.url, zone="az2") as t:
            client = t.client(oslorpc.Target(topic=topic), timeout=20)
            return {await client.call({}, "where") for _ in range(6)}

    assert asyncio.run(calls()) == {"az2"}


def test_named_messages_fanouts_and_gathers_ignore_zones(fleet):
    _, _, _, client = fleet.two()
    assert client.prepare(server="in-az2").call({}, "where") == "az2"
    report = client.fanout({}, "where")
    assert sorted(o.instance.zone for o in report.accepted) == ["az1", "az2"]
    assert sorted(reply.result for reply in client.gather({}, "where")) == ["az1", "az2"]


def test_caps_follow_the_whole_fleet(fleet):
    _, _, _, client = fleet.two("1.9")
    auto = client.prepare(version_cap="auto")
    assert auto.can_send_version("1.4") and not auto.can_send_version("1.5")  # az2 has 1.4


def test_others_see_the_zone(fleet, opened, start, run, url, topic):
    zone = "zone 1, größe"
    fleet.serve(zone, url=url)
    assert f"  {zone}  " in run(url, "ls", "--wide")[1]
    assert zone in run(url, "info", topic)[1]
    start("go", f"{url}?zone=az2", topic, "go2")
    assert places(fleet.caller(zone, url)) == [zone]
    assert next(i.zone for i in opened(url).instances() if i.server == "go2") == "az2"


def test_where_the_zone_comes_from(opened, local, topic, monkeypatch):
    def zone_of(url, **options):
        return opened(url, **options).server(oslorpc.Target(topic=topic, server="s"), [Methods("", "1.0")]).start().zone

    assert zone_of(local) == ""
    monkeypatch.setenv("OSLORPC_ZONE", "of the environment")
    assert zone_of(local) == "of the environment"
    assert zone_of(local, zone="of the program") == "of the program"
    assert zone_of(f"{local}?zone=of+the+URL", zone="of the program") == "of the URL"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("local://?zone=a%00b", "has control characters"),
        (f"local://?zone={'z' * 256}", "longer than 255 bytes"),
        ("static://t=127.0.0.1:1;zone=", "write topic=host:port;zone=NAME"),
        ("static://t=127.0.0.1:1;zone=%ff", "write topic=host:port;zone=NAME"),
        ("static://t=127.0.0.1:1;zone=%zz", "write topic=host:port;zone=NAME"),
        ("static://t=127.0.0.1:1;zone=a%0Ab", "write topic=host:port;zone=NAME"),
    ],
)
def test_a_zone_is_a_name(url, says):
    with pytest.raises(oslorpc.Error, match=says) as e, contextlib.closing(oslorpc.open(url)):
        pass
    assert e.value.kind is Kind.INVALID
