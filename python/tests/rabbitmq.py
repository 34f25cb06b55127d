"""Runs a RabbitMQ for a test or a benchmark. `make .bin/rabbitmq/.installed` installs it from
Debian's packages.
"""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).parents[2]
PLACE = ROOT / ".bin" / "rabbitmq"


def free_ports(n):
    sockets = [socket.socket() for _ in range(n)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def answers(port, greeting=b""):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 2) as s:
        if not greeting:
            return True
        s.sendall(greeting)
        return bool(s.recv(16))
    return False


def wait(what, check, seconds=90.0):
    end = time.monotonic() + seconds
    while not check():
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s: {what}")
        time.sleep(0.05)


@contextlib.contextmanager
def broker():
    """Run RabbitMQ on free ports of the loopback interface, with a new directory, and yield its
    URL.
    """
    directory = pathlib.Path(tempfile.mkdtemp(prefix="rabbit"))
    port, distribution, epmd = free_ports(3)
    erlang = PLACE / "usr/lib/erlang"
    erts = next(erlang.glob("erts-*"))
    home = next((PLACE / "usr/lib/rabbitmq/lib").iterdir())
    # Debian's `erl` works only in /usr/lib/erlang.
    (directory / "erl").write_text(f'#!/bin/sh\nexec "{erts}/bin/erlexec" "$@"\n')
    (directory / "erl").chmod(0o755)
    (directory / "plugins").write_text("[].\n")
    (directory / "rabbitmq.conf").write_text("log.console = false\n")
    environ = {
        **os.environ,
        "HOME": str(directory),
        "PATH": f"{directory}:{erlang}/bin:{os.environ['PATH']}",
        "ROOTDIR": str(erlang),
        "BINDIR": f"{erts}/bin",
        "EMU": "beam",
        "PROGNAME": "erl",
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(epmd),
        "RABBITMQ_NODENAME": f"rabbit{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq.conf"),
        "RABBITMQ_CONF_ENV_FILE": str(directory / "none"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "plugins"),
        "RABBITMQ_MNESIA_BASE": str(directory / "mnesia"),
        "RABBITMQ_LOG_BASE": str(directory),
        "RABBITMQ_PID_FILE": str(directory / "pid"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none",
    }
    command = [erts / "bin" / "epmd", "-port", str(epmd), "-address", "127.0.0.1"]
    started = []
    log = os.open(directory / "output", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    try:
        for line, listening, greeting in (
            (command, epmd, b""),
            ([home / "sbin" / "rabbitmq-server"], port, b"AMQP\x00\x00\x09\x01"),
        ):
            p = subprocess.Popen(
                line, env=environ, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
            started.append(p)

            def ready(p=p, listening=listening, greeting=greeting):
                if p.poll() is not None:
                    raise AssertionError((directory / "output").read_text())
                return answers(listening, greeting)

            wait(f"{line[0]} answers", ready)
        yield f"rabbit://guest:guest@127.0.0.1:{port}/"
    finally:
        for p in reversed(started):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(p.pid, signal.SIGKILL)  # it leads its own process group
            p.wait(30)
        os.close(log)
        shutil.rmtree(directory, ignore_errors=True)
