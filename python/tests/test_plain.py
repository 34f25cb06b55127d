"""Errors about connections use plain words in place of the texts of gRPC and of the system."""

from __future__ import annotations

import errno
import http.client
import http.server
import pathlib
import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

import oslorpc
from oslorpc.plain import plain, reason

ALL = "failed to connect to all addresses; last error: "


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("the disk is full", "the disk is full"),
        (
            ALL + "UNKNOWN: ipv4:127.0.0.1:1: Failed to connect to remote host: Connection refused",
            "nothing listens there",
        ),
        (
            ALL + "UNKNOWN: unix:/x: Failed to connect to remote host: connect: No such file or directory (2)",
            "nothing listens there",
        ),
        (
            ALL + "UNAVAILABLE: ipv4:127.0.0.1:1: Failed to connect to remote host: No route to host",
            "it cannot be connected to: No route to host",
        ),
        (
            ALL + "UNKNOWN: ipv4:127.0.0.1:1: connection attempt timed out before receiving SETTINGS frame",
            "it accepts connections but sends nothing; its process may be hung",
        ),
        ("Socket closed", "the server closed the connection, or died"),
        ("recvmsg:Connection reset by peer", "the server, or something on the way to it, reset the connection"),
        ("ping timeout", "the server answers nothing; it may hang, or the network does not reach it"),
        ("DNS resolution failed for nova7:1: C-ares status is not success", "DNS has no address for nova7:1"),
        (
            "Received RST_STREAM with error code 2",
            "the server, or a proxy before it, reset the stream with the HTTP/2 code 2",
        ),
    ],
)
def test_texts_of_grpc(text: str, want: str) -> None:
    assert plain(text) == want


@pytest.mark.parametrize(
    ("error", "want"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "connection refused"),
        (TimeoutError("timed out"), "it did not answer in time"),
        (
            socket.gaierror(-2, "Name or service not known"),
            "the name cannot be resolved (Name or service not known): check it, and DNS",
        ),
        (http.client.BadStatusLine("x"), "it does not answer as HTTP does (BadStatusLine)"),
        (oslorpc.Error(oslorpc.Kind.UNREACHABLE, "away"), "away"),
        (ValueError("the answer is larger than 64 MiB"), "the answer is larger than 64 MiB"),
    ],
)
def test_reasons(error: Exception, want: str) -> None:
    assert reason(error) == want


@pytest.fixture
def unused() -> str:
    """Return an address at which nothing listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as s:
        return f"127.0.0.1:{s.getsockname()[1]}"


@pytest.fixture
def hung() -> Iterator[str]:
    """Return an address that accepts connections and sends nothing."""
    with closing(socket.create_server(("127.0.0.1", 0))) as s:
        yield f"127.0.0.1:{s.getsockname()[1]}"


@pytest.fixture
def web() -> Iterator[str]:
    """Return the address of a web server."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as s:
        thread = threading.Thread(target=s.serve_forever)
        thread.start()
        yield f"127.0.0.1:{s.server_port}"
        s.shutdown()
        thread.join()


def failure(url: str, fail_fast: bool = False, timeout: float = 5) -> oslorpc.Error:
    """Return the error of a call that fails."""
    with oslorpc.open(url) as transport:
        client = transport.client(oslorpc.Target(topic="demo"), timeout=timeout, fail_fast=fail_fast)
        with pytest.raises(oslorpc.Error) as caught:
            client.call({}, "whoami")
    return caught.value


def test_nothing_listens(unused: str) -> None:
    e = failure(f"static://demo={unused}", timeout=2)
    assert (e.kind, e.safe_to_retry) == (oslorpc.Kind.UNREACHABLE, True)
    assert e.message == f"the server at {unused} cannot be reached: nothing listens there; its process is probably dead"
    e = failure(f"gateway://{unused}", fail_fast=True)
    assert (e.kind, e.message) == (
        oslorpc.Kind.UNREACHABLE,
        f"not sent: the gateway at {unused} cannot be reached: nothing listens there; its process is probably dead",
    )
    e = failure(f"consul://{unused}", fail_fast=True)
    assert e.kind is oslorpc.Kind.UNREACHABLE and e.message == (
        f"not sent: Consul at {unused}: reading /v1/health/service/oslorpc-openstack-demo: connection refused: "
        "check that a Consul agent answers there"
    )


def test_it_hangs(hung: str) -> None:
    e = failure(f"static://demo={hung}", timeout=8)
    assert (e.kind, e.safe_to_retry) == (oslorpc.Kind.UNREACHABLE, True)
    assert e.message == f"the server at {hung} accepts connections but sends nothing; its process may be hung"
    e = failure(f"consul://{hung}", timeout=0.3)
    assert (e.kind, e.message) == (oslorpc.Kind.TIMEOUT, f"not sent: Consul at {hung} did not answer")


def test_another_program(web: str) -> None:
    e = failure(f"static://demo={web}", timeout=2)
    assert e.message == (
        f"the server at {web} answers with something other than gRPC; another program may have the address"
    )
    e = failure(f"gateway://{web}", fail_fast=True)
    assert e.message == (
        f"not sent: the gateway at {web} answers with something other than gRPC; another program may have the address"
    )
    e = failure(f"consul://{web}", fail_fast=True)
    assert e.message == (
        f"not sent: Consul at {web}: reading /v1/health/service/oslorpc-openstack-demo: it answers 404 Not Found: "
        "another program may have the address: check that a Consul agent answers there"
    )


class Nothing:
    """An endpoint."""

    def whoami(self, ctxt: oslorpc.RequestContext) -> None:
        """Do nothing."""


def test_listening(hung: str, tmp_path: pathlib.Path) -> None:
    for address, want in {
        hung: "address already in use: stop the program that has it, or listen elsewhere; port 0 is any that is free",
        f"unix:{tmp_path}/gone/s": "no such file or directory",
    }.items():
        with oslorpc.open(f"local://{tmp_path}/registry", listen=address) as transport:
            server = transport.server(oslorpc.Target(topic="t", server="s"), [Nothing()])
            with pytest.raises(oslorpc.Error) as caught:
                server.start()
        assert (caught.value.kind, caught.value.message) == (
            oslorpc.Kind.INVALID,
            f"cannot listen on {address}: {want}",
        )


@pytest.mark.parametrize("scheme", ["rabbit", "kombu+memory", "amqp"])
def test_brokers(scheme: str) -> None:
    with pytest.raises(oslorpc.Error, match="there is no broker; write consul://host:8500 where ") as caught:
        oslorpc.open(f"{scheme}://u:secret@h")
    assert "secret" not in str(caught.value) and f"where {scheme}:// was" in str(caught.value)
