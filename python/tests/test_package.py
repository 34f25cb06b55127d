"""The package can be installed from its directory, and its examples run."""

import os
import pathlib
import subprocess
import sys

import pytest
from conftest import ROOT, Process

EXAMPLES = ROOT / "python" / "examples"


@pytest.mark.long
def test_install(tmp_path):
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "-q",
            "--no-deps",
            "--no-build-isolation",
            "--target",
            tmp_path,
            ROOT / "python",
        ],
        check=True,
        timeout=120,
    )
    installed = tmp_path / "oslorpc"
    assert (installed / "py.typed").is_file() and (installed / "aio" / "client.py").is_file()
    code = "import oslorpc, oslorpc.aio, oslorpc.discovery.consul; print(oslorpc.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert pathlib.Path(found.stdout.strip()).is_relative_to(tmp_path)


def test_hello(local, run):
    env = {"OSLORPC_TRANSPORT_URL": local}
    server = Process(sys.executable, str(EXAMPLES / "hello_server.py"), env=env)
    server.await_line("ready at")
    client = Process(sys.executable, str(EXAMPLES / "hello_client.py"), env=env)
    assert client.process.wait(30) == 0
    client.await_line("hello you")
    client.await_line("node1 accepted")
    assert run(local, "call", "hello", "greet", "name=go")[1] == '"hello go"'
    assert server.end() == 0


def test_asyncio_fleet(local):
    program = Process(sys.executable, str(EXAMPLES / "asyncio_fleet.py"), env={"OSLORPC_TRANSPORT_URL": local})
    program.await_line("1.3 can be sent: True - 1.4: False")
    assert program.process.wait(30) == 0
    assert sum(line.startswith("each:") for line in program.output) == 3


@pytest.mark.parametrize(
    ("name", "most"),
    [("python/src/oslorpc", 400), ("python/tests", 600), ("python/examples", 100), ("python/bench", 200)],
)
def test_modules_are_small(name, most):
    for path in (ROOT / name).rglob("*.py"):
        if "v1" not in path.parts:
            assert len(path.read_text().splitlines()) <= most, path
