"""A server in a separate network. It opens one outgoing connection, and no process can connect to
it.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time

import pytest
from conftest import SERVER, Process, free_ports, until

_CUT = 30.0


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


class Network:
    """A network namespace with one cable to this machine."""

    def __init__(self, number):
        self.name = self.cable = f"oslorpc{os.getpid() % 10000}"
        self.here, self.there = f"10.98.{number}.1", f"10.98.{number}.2"
        ip("netns", "add", self.name)
        ip("link", "add", self.cable, "type", "veth", "peer", "name", "out", "netns", self.name)
        ip("addr", "add", f"{self.here}/24", "dev", self.cable)
        ip("link", "set", self.cable, "up")
        for arguments in (("link", "set", "lo", "up"), ("addr", "add", f"{self.there}/24", "dev", "out")):
            ip("-n", self.name, *arguments)
        ip("-n", self.name, "link", "set", "out", "up")

    def listening(self):
        """Return the sockets in the namespace that listen on TCP."""
        command = ["ip", "netns", "exec", self.name, "cat", "/proc/net/tcp", "/proc/net/tcp6"]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        return [line for line in lines if line.split()[3:4] == ["0A"]]

    def remove(self):
        with contextlib.suppress(subprocess.CalledProcessError):
            ip("netns", "del", self.name)


@pytest.fixture
def network():
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    if shutil.which("ip") is None:
        pytest.skip("network namespaces need iproute2")
    try:
        made = Network(os.getpid() % 200 + 1)
    except subprocess.CalledProcessError as e:
        pytest.skip(f"network namespaces are not available: {e.stderr.decode().strip()}")
    yield made
    made.remove()


def test_attached_from_a_network_that_cannot_be_dialled(network, go, consul, run, start, topic):
    url = consul + "?insecure=true"
    address = f"{network.here}:{free_ports(1)[0]}"
    gateway = Process(go, "gateway", "--transport", url, "--listen", address, "--attach")
    edge = None
    try:
        gateway.await_line("ready")
        start("aio", consul, topic, "near")
        command = ["ip", "netns", "exec", network.name, sys.executable, str(SERVER), "sync"]
        edge = Process(*command, f"gateway://{address}?insecure=true", topic, "edge")
        edge.await_line("ready")
        assert network.listening() == []

        def call(*arguments, seconds=20):
            return run(url, "call", "--timeout", f"{seconds}s", topic, *arguments)

        seen = {json.loads(call("whoami")[1])["server"] for _ in range(6)}
        assert seen == {"edge", "near"}
        code, out, err = call("whoami", "--server", "edge")
        assert code == 0 and '"edge"' in out, err
        code, out, err = run(url, "fanout", topic, "note", "id=all")
        assert code == 0 and "edge" in out and "near" in out, err
        edge.await_line("ran all")

        def listed():
            return "edge" in run(url, "ls", topic)[1]

        assert listed()
        ip("link", "set", network.cable, "down")
        cut = time.monotonic()
        until("the server is withdrawn", lambda: not listed(), 60)
        code, out, err = run(url, "call", "--timeout", "20s", topic, "whoami")
        assert code == 0 and '"near"' in out, err
        time.sleep(max(cut + _CUT - time.monotonic(), 0))
        ip("link", "set", network.cable, "up")
        until("the server is back", listed, 60)
        code, out, err = call("whoami", "--server", "edge", seconds=60)
        assert code == 0 and '"edge"' in out, err
        code, out, err = run(url, "fanout", topic, "note", "id=again")
        assert code == 0 and "edge" in out and "near" in out, err
        edge.await_line("ran again")
        assert edge.end() == 0
        assert not listed()
    finally:
        for process in (edge, gateway):
            if process is not None:
                process.end()
