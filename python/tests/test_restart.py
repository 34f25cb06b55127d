"""Python servers restart, and are killed, under callers in Go and Python."""

import collections
import re
import signal
import subprocess
import threading
import time

import pytest

import oslorpc

CALLERS = 16


@pytest.mark.long
@pytest.mark.parametrize(("registry", "kind"), [("local", "aio"), ("consul", "sync")])
def test_rolling_restart(start, go, request, topic, registry, kind, tmp_path):
    """No call fails, and none runs twice."""
    url = request.getfixturevalue(registry)
    servers = {name: start(kind, url, topic, name) for name in "abc"}
    everything = list(servers.values())
    stop = threading.Event()
    failures, done = [], collections.Counter()

    def call(client, n):
        count = 0
        while not stop.is_set():
            count += 1
            try:
                client.call({}, "note", id=f"py-{n}-{count}")
                done[n] += 1
            except Exception as e:
                failures.append(e)

    with oslorpc.open(url) as t:
        client = t.client(oslorpc.Target(topic=topic), timeout=20)
        threads = [threading.Thread(target=call, args=(client, n)) for n in range(CALLERS // 2)]
        callers = [
            subprocess.Popen(
                [go, "--transport", url, "call", topic, "note", f"id=go-{n}-", "-n", "1000000", "--keep-going"],
                stdout=(tmp_path / f"go-{n}").open("w"),
                stderr=subprocess.PIPE,
                text=True,
            )
            for n in range(CALLERS // 2)
        ]
        try:
            for thread in threads:
                thread.start()
            time.sleep(0.5)
            for name in "abc":
                assert servers[name].end() == 0, servers[name].output
                servers[name] = start(kind, url, topic, name)
                everything.append(servers[name])
        finally:
            stop.set()
            for thread in threads:
                thread.join(30)
            for caller in callers:
                caller.send_signal(signal.SIGINT)
    errors = [caller.communicate(timeout=30)[1] for caller in callers]
    assert not failures, failures[:3]
    assert not [e for e in errors if "oslorpc:" in e and "interrupt" not in e.lower() and "canceled" not in e], errors
    assert sum(done.values()) > 50
    for p in servers.values():
        p.end()
    ran = collections.Counter(
        id for p in everything for id in re.findall(r"ran (py-[0-9]+-[0-9]+)", "\n".join(p.output))
    )
    assert ran and max(ran.values()) == 1
    assert len(ran) >= sum(done.values())
    # Callers in Go send one message after the other. Each ran once, except the last one, which may
    # have been interrupted.
    by_go = collections.Counter(
        int(n) for p in everything for n in re.findall(r"ran go-([0-9]+)-", "\n".join(p.output))
    )
    for n in range(CALLERS // 2):
        count = len((tmp_path / f"go-{n}").read_text().splitlines())
        assert count > 0 and by_go[n] - count in (0, 1), (n, count, by_go)


@pytest.mark.long
@pytest.mark.parametrize(("registry", "kind"), [("local", "aio"), ("consul", "sync")])
def test_callers_of_a_killed_server_know_at_once(start, go, request, topic, registry, kind):
    url = request.getfixturevalue(registry)
    server = start(kind, url, topic, "a")
    ends = []

    def call(client):
        try:
            ends.append(client.call({}, "sleep", seconds=150))
        except oslorpc.Error as e:
            ends.append(e.kind)

    with oslorpc.open(url) as t:
        client = t.client(oslorpc.Target(topic=topic), timeout=150)
        threads = [threading.Thread(target=call, args=(client,)) for _ in range(CALLERS // 2)]
        command = [go, "--transport", url, "call", topic, "sleep", "seconds:=150", "--timeout", "150s"]
        callers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(CALLERS // 2)]
        for thread in threads:
            thread.start()
        for _ in range(CALLERS):
            server.await_line("sleeping")
        server.end(signal.SIGKILL)
        for thread in threads:
            thread.join(30)
        errors = [caller.communicate(timeout=30)[1] for caller in callers]
    assert ends == [oslorpc.Kind.OUTCOME_UNKNOWN] * (CALLERS // 2)
    assert all("outcome unknown" in e for e in errors), errors
