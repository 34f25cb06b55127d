"""Fixtures that start real processes: Go's command line, Python servers, and a Consul agent."""

import contextlib
import os
import pathlib
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import pytest

import oslorpc

ROOT = pathlib.Path(__file__).parents[2]
GO = os.environ.get("OSLORPC_BIN", str(ROOT / ".bin" / "oslorpc"))
CONSUL = os.environ.get("CONSUL_BIN", str(ROOT / ".bin" / "consul"))
os.environ["PYTHONPATH"] = str(ROOT / "python" / "src")  # for the programs that tests start
SERVER = pathlib.Path(__file__).with_name("serverprogram.py")


def until(what, check, seconds=15.0):
    """Wait up to ``seconds`` until ``check()`` is true. ``what`` names the condition in the
    failure.
    """
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, f"waited {seconds} s: {what}"
        time.sleep(0.02)


def free_ports(n):
    sockets = [socket.socket() for _ in range(n)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Process:
    """A program that a test runs. A thread reads its output line by line."""

    def __init__(self, *command, env=None):
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **(env or {})}
        )
        self.lines = queue.Queue()
        self.output = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.output.append(line.rstrip("\n"))
            self.lines.put(line)
        self.lines.put(None)

    def await_line(self, word, seconds=90.0):
        end = time.monotonic() + seconds
        while True:
            line = self.lines.get(timeout=max(end - time.monotonic(), 0.01))
            assert line is not None, f"the program ended before {word!r}: {self.output}"
            if word in line:
                return line

    def send(self, number):
        self.process.send_signal(number)

    def end(self, number=signal.SIGTERM, seconds=30.0):
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(seconds)
        self._reader.join(seconds)
        return code

    @property
    def pid(self):
        return self.process.pid

    def tasks(self):
        return pathlib.Path(f"/proc/{self.pid}/task").iterdir()


def pytest_collection_modifyitems(items):
    """Run the tests marked as long first, so that with several workers, the last ones to end are
    short.
    """
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(scope="session")
def go():
    assert os.access(GO, os.X_OK), f"{GO} is not there: run `make build`"
    return GO


@pytest.fixture(scope="session")
def consul():
    """The URL of a Consul agent of this test session."""
    assert os.access(CONSUL, os.X_OK), f"{CONSUL} is not there: run `make test-python`"
    http, server, lan = free_ports(3)
    agent = Process(
        CONSUL,
        "agent",
        "-dev",
        "-bind=127.0.0.1",
        f"-http-port={http}",
        "-grpc-port=-1",
        "-dns-port=-1",
        f"-server-port={server}",
        f"-serf-lan-port={lan}",
        "-serf-wan-port=-1",
        "-log-level=error",
    )

    def leads():
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{http}/v1/status/leader") as answer,
        ):
            return len(answer.read()) > 4
        return False

    until("Consul has a leader", leads, 90)
    yield f"consul://127.0.0.1:{http}"
    agent.end(signal.SIGKILL)


@pytest.fixture
def local():
    directory = tempfile.mkdtemp(prefix="or")
    yield f"local://{directory}/r"
    shutil.rmtree(directory, ignore_errors=True)


_topics = iter(range(1_000_000))


@pytest.fixture
def topic():
    return f"t{next(_topics)}"


@pytest.fixture(params=["local", "consul"])
def url(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def start(go):
    """A function that starts servers, which end after the test."""
    running = []

    def begin(kind, url, topic, name, *options, env=None):
        if kind == "go":
            command = [go, "serve", "--transport", url, "--topic", topic, "--server", name, *options]
            p, word = Process(*command, env=env), "ready"
        else:
            p, word = Process(sys.executable, str(SERVER), kind, url, topic, name, *options, env=env), "ready"
        running.append(p)
        p.await_line(word)
        return p

    yield begin
    for p in running:
        with contextlib.suppress(subprocess.TimeoutExpired):
            p.end(signal.SIGKILL)


@pytest.fixture
def run(go):
    """A function that runs Go's command line, and returns its exit code and its output."""

    def command(url, *arguments, seconds=60):
        done = subprocess.run(
            [go, "--transport", url, *arguments], capture_output=True, text=True, timeout=seconds, check=False
        )
        return done.returncode, done.stdout.strip(), done.stderr.strip()

    return command


@pytest.fixture
def opened():
    """A function that opens transports, which are closed after the test."""
    transports = []

    def begin(url, **options):
        transports.append(oslorpc.open(url, **options))
        return transports[-1]

    yield begin
    for t in transports:
        t.close()
