"""Which instances are found, and what happens when a registry loses its data."""

import json
import os
import signal
import stat
import time
import urllib.parse
import urllib.request

import pytest
from conftest import Process, until

import oslorpc
from oslorpc.errors import Kind


def names(t, topic):
    return sorted(i.server for i in t.instances() if i.topic == topic)


@pytest.mark.parametrize("kind", ["go", "sync"])
def test_a_killed_server_is_gone_at_once(opened, start, local, topic, kind):
    p = start(kind, local, topic, "a")
    t = opened(local)
    assert names(t, topic) == ["a"]
    p.end(signal.SIGKILL)
    assert names(t, topic) == []
    left = os.listdir(local.removeprefix("local://"))
    assert left == [], "the file and the socket of a dead process are removed"


def test_a_frozen_server_is_alive(opened, start, local, topic):
    p = start("sync", local, topic, "a")
    p.send(signal.SIGSTOP)
    assert names(opened(local), topic) == ["a"]
    p.send(signal.SIGCONT)


def test_a_file_that_was_removed_comes_back(opened, start, local, topic, run):
    start("sync", local, topic, "a")
    directory = local.removeprefix("local://")
    for name in os.listdir(directory):
        if name.endswith(".json"):
            os.unlink(os.path.join(directory, name))
    t = opened(local)
    until("it is back", lambda: names(t, topic) == ["a"])
    until("Go finds it", lambda: topic in run(local, "ls")[1])


def test_a_directory_of_others_is_refused(tmp_path):
    directory = tmp_path / "open"
    directory.mkdir(mode=0o755)
    with pytest.raises(oslorpc.Error) as e:
        oslorpc.open(f"local://{directory}")
    assert e.value.kind is Kind.INVALID and "open to other users" in str(e.value)
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    with pytest.raises(oslorpc.Error):
        oslorpc.open(f"local://{link}")


def test_sockets_are_private(start, local, topic):
    start("sync", local, topic, "a")
    directory = local.removeprefix("local://")
    (socket,) = [name for name in os.listdir(directory) if name.endswith(".sock")]
    assert stat.S_IMODE(os.stat(os.path.join(directory, socket)).st_mode) == 0o600


def request(consul, method, path):
    made = urllib.request.Request(consul.replace("consul://", "http://") + path, method=method)
    with urllib.request.urlopen(made, timeout=10) as answer:
        return json.loads(answer.read() or "null")


def test_consul_that_lost_a_server_has_it_again(opened, start, consul, topic):
    """Another program may deregister a server, or Consul may lose its data."""
    start("sync", f"{consul}?ttl=3s", topic, "a")
    t = opened(consul)
    client = t.client(oslorpc.Target(topic=topic))
    assert client.call({}, "whoami")["server"] == "a"
    services = request(consul, "GET", "/v1/agent/services")
    mine = [id for id, s in services.items() if topic in s["Service"]]
    assert len(mine) == 2
    for id in mine:
        request(consul, "PUT", "/v1/agent/service/deregister/" + urllib.parse.quote(id))
    for _ in range(20):
        assert client.call({}, "whoami")["server"] == "a"
    until("it is registered again", lambda: names(t, topic) == ["a"], 20)


def test_maintenance_drains(opened, start, consul, topic):
    start("sync", consul, topic, "a")
    start("go", consul, topic, "b")
    client = opened(consul).client(oslorpc.Target(topic=topic))
    services = request(consul, "GET", "/v1/agent/services")
    (mine,) = [
        id for id, s in services.items() if s["Meta"].get("rpc-server") == "a" and s["Meta"]["rpc-topic"] == topic
    ]
    request(consul, "PUT", f"/v1/agent/service/maintenance/{mine}?enable=true")
    until("it drains", lambda: client.fanout({}, "echo").skipped)
    assert {client.call({}, "whoami")["server"] for _ in range(6)} == {"b"}
    assert client.prepare(server="a").call({}, "whoami")["server"] == "a"


def test_withdrawn_from_consul(opened, start, consul, topic):
    p = start("sync", consul, topic, "a")
    assert names(opened(consul), topic) == ["a"]
    assert p.end() == 0
    services = request(consul, "GET", "/v1/agent/services")
    assert not [s for s in services.values() if topic in s["Service"]]


def test_calls_go_on_while_consul_is_away(opened, start, topic, consul, request):
    """The test has its own Consul, which stops and comes back empty."""
    from conftest import CONSUL, free_ports

    http, server, lan = free_ports(3)
    url = f"consul://127.0.0.1:{http}"

    def agent():
        p = Process(
            CONSUL, "agent", "-dev", "-bind=127.0.0.1", f"-http-port={http}", "-grpc-port=-1", "-dns-port=-1",
            f"-server-port={server}", f"-serf-lan-port={lan}", "-serf-wan-port=-1", "-log-level=error",
        )  # fmt: skip
        request.addfinalizer(lambda: p.end(signal.SIGKILL))

        def leads():
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{http}/v1/status/leader") as answer:
                    return len(answer.read()) > 4
            except OSError:
                return False

        until("Consul has a leader", leads, 30)
        return p

    first = agent()
    start("sync", f"{url}?ttl=3s", topic, "a")
    t = opened(url)
    client = t.client(oslorpc.Target(topic=topic))
    assert client.call({}, "whoami")["server"] == "a"
    first.end(signal.SIGKILL)
    for _ in range(20):
        assert client.call({}, "whoami")["server"] == "a"
        time.sleep(0.05)
    assert client.fanout({}, "echo").uncertain is not None
    with pytest.raises(oslorpc.Error) as e:
        opened(url).client(oslorpc.Target(topic=topic), timeout=1).call({}, "whoami")
    assert (e.value.kind, e.value.safe_to_retry) == (Kind.UNREACHABLE, True)
    agent()
    until("it is registered again", lambda: names(t, topic) == ["a"], 30)
    for _ in range(20):
        assert client.call({}, "whoami")["server"] == "a"
