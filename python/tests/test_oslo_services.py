"""Services that use oslo.messaging, in separate processes over the driver, and programs in Go."""

import json
import pathlib
import signal
import sys
import threading

import oslosupport
import pytest
from conftest import Process, until
from oslofixtures import client, declared, transport  # noqa: F401

SERVICE = pathlib.Path(__file__).with_name("osloservice.py")


@pytest.fixture
def service(declared):
    """A function that starts a service in a separate process."""
    running = []

    def begin(*arguments):
        p = Process(sys.executable, "-W", "ignore", str(SERVICE), *arguments, env=oslosupport.environment(declared))
        running.append(p)
        p.await_line("ready")
        return p

    yield begin
    for p in running:
        p.end(signal.SIGKILL)


def test_workers_that_are_forked_serve_and_end(service, run, topic, local):
    p = service("workers", "eventlet", "oslorpc+" + local, topic, "s1")
    pids = set()
    until("both workers answer", lambda: pids.add(run(local, "call", topic, "pid")[1]) or len(pids) == 2)
    assert str(p.pid) not in pids
    p.end()
    until("they are withdrawn", lambda: topic not in run(local, "ls")[1])
    until("their helpers end", lambda: not helpers_of(pids))


def helpers_of(pids):
    """Return the ids of the helper processes of other processes."""
    found = []
    for place in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_bytes().split(b"\0")
            environ = (place / "environ").read_bytes()
        except OSError:
            continue
        if b"oslorpc.oslo.helper" in words and environ:
            found += [pid for pid in pids if (place / "stat").read_text().rpartition(")")[2].split()[1] == pid]
    return found


@pytest.mark.parametrize("kind", ["threading", "eventlet"])
def test_go_calls_a_service(service, run, url, topic, kind):
    p = service("serve", kind, "oslorpc+" + url, topic, "s1")
    code, out, err = run(url, "call", topic, "echo", 'value:={"a":9007199254740993}')
    assert (code, json.loads(out or "null")) == (0, {"a": 9007199254740993}), err
    code, out, err = run(url, "call", topic, "reserved", "port:=7")
    assert code != 0 and "osloservice.ReservedError: port is reserved" in err
    assert run(url, "fanout", topic, "echo", "value:=1")[0] == 0
    code, out, _ = run(url, "info", topic)
    assert code == 0 and "reserved" in out
    assert p.end() == 0
    assert run(url, "ls")[1].count(topic) == 0


@pytest.mark.parametrize("kind", ["threading", "eventlet"])
def test_a_service_calls_go(service, start, url, topic, kind):
    start("go", url, topic, "go1")
    p = service("client", kind, "oslorpc+" + url, topic)
    lines = json.loads(p.await_line("results").partition(" ")[2])
    assert lines["add"] == 3
    assert lines["fail"][0] == "RemoteError" and "boom" in lines["fail"][1] and lines["fail"][2] == ["go1"]
    assert lines["arguments"][0] == "TypeError"
    assert lines["ticks"] > 5, "a call blocks the other greenthreads"
    assert p.process.wait(30) == 0


def test_a_service_that_ends_loses_no_message(service, client, transport, topic, local):
    first = service("serve", "threading", "oslorpc+" + local, topic, "s1")
    service("serve", "eventlet", "oslorpc+" + local, topic, "s2")
    c = client(timeout=30)
    done = []
    ending = threading.Event()

    def calls():
        while not ending.is_set():
            done.append(c.call({}, "echo", value=1))

    callers = [threading.Thread(target=calls) for _ in range(4)]
    for t in callers:
        t.start()
    until("calls run", lambda: len(done) > 50)
    first.send(signal.SIGTERM)
    assert first.end() == 0
    before = len(done)
    until("calls go on", lambda: len(done) > before + 50)
    ending.set()
    for t in callers:
        t.join(30)
        assert not t.is_alive()
    assert set(done) == {1}
