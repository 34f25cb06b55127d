"""How a blocking client observes its connections."""

import os
import signal

import grpc
import pytest
from conftest import until

import oslorpc
from oslorpc.errors import Kind


@pytest.fixture(params=[True, False], ids=["core", "subscribe"])
def core(request, monkeypatch):
    """Whether the client may use grpcio's core."""
    if not request.param:
        monkeypatch.setattr(grpc, "__version__", "1.999.0")
    return request.param


def threads():
    return len(os.listdir("/proc/self/task"))


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="this system does not list threads there")
def test_connections_share_a_thread(opened, start, local, topic):
    names = [f"s{i}" for i in range(12)]
    for name in names:
        start("go", local, topic, name)
    client = opened(local).client(oslorpc.Target(topic=topic))
    client.prepare(server=names[0]).call({}, "whoami")
    before = threads()
    assert len(list(client.gather({}, "whoami"))) == len(names)
    until("there is no thread for each connection", lambda: threads() < before + len(names) - 1)


# A thread of subscribe() raises this if the channel is closed between its check and its watch.
@pytest.mark.filterwarnings(
    "default:(?s).*Cannot monitor channel state. Channel closed:pytest.PytestUnhandledThreadExceptionWarning"
)
def test_a_server_that_ends_and_returns(opened, start, local, topic, core):
    client = opened(local).client(oslorpc.Target(topic=topic, server="a"))
    for _ in range(3):
        p = start("go", local, topic, "a")
        client.call({}, "whoami")
        links = list(client._transport._pool.all())
        assert any(link.ready for link in links)
        p.end(signal.SIGKILL)
        until("the loss is known", lambda: not any(link.ready for link in client._transport._pool.all()))
    with pytest.raises(oslorpc.Error) as e:
        client.prepare(timeout=2).call({}, "whoami")
    assert e.value.safe_to_retry and e.value.kind in (Kind.UNREACHABLE, Kind.NO_INSTANCE)
