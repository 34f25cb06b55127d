"""The driver of oslo.messaging: oslo.messaging's own clients and servers, and Go's, over
oslorpc.
"""

import functools
import json
import logging
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import oslo_messaging as om
import oslosupport
import pytest
from conftest import until
from oslo_config import cfg
from oslofixtures import client, declared, transport  # noqa: F401
from oslosupport import rpc_client
from relay import Relay


class ReservedError(Exception):
    """An exception of a service."""

    def __init__(self, message="reserved", **kwargs):
        super().__init__(message)
        self.kwargs = kwargs


class Endpoint:
    target = om.Target(version="1.3", legacy_namespaces=["old"])

    def __init__(self):
        self.seen = []
        self.gate = threading.Event()

    def echo(self, ctxt, value=None):
        return value

    def context(self, ctxt):
        return ctxt

    def note(self, ctxt, value):
        self.seen.append(value)

    def reserved(self, ctxt, port):
        raise ReservedError("port is reserved", port=port)

    def unwritable(self, ctxt):
        return {(1, 2): 3}

    def wait(self, ctxt, seconds=30):
        self.seen.append("waits")
        return self.gate.wait(seconds)

    def nested(self, ctxt, topic):
        raise AssertionError("replaced by the test")

    @functools.cached_property
    def costly(self):
        raise AssertionError("computed to describe the endpoint")

    @property
    def broken(self):
        raise AssertionError("computed to describe the endpoint")

    def _hidden(self, ctxt):
        return "hidden"


class Second:
    target = om.Target(version="2.0", namespace="other")

    def second(self, ctxt):
        return "second"


class Proxy:
    """Has all methods, as the proxy of Nova's compute manager for an old major version."""

    target = om.Target(version="5.0")

    def __getattr__(self, name):
        if name == "oslo_rpc_server_ping":
            raise AttributeError(name)
        return lambda ctxt, **kwargs: [name, kwargs]


@pytest.fixture
def serve(transport, topic):
    """A function that starts a server, and returns its endpoint."""
    running = []

    def begin(name="s1", endpoints=None, **how):
        endpoint = Endpoint()
        server = om.get_rpc_server(
            transport(**how), om.Target(topic=topic, server=name), endpoints or [endpoint, Second(), Proxy()]
        )
        server.start()
        running.append((server, endpoint))
        return endpoint

    yield begin
    for server, endpoint in running:
        endpoint.gate.set()
        server.stop()
        server.wait()


def helpers():
    """Return the ids of the helper processes of this process."""
    found = []
    for place in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_bytes().split(b"\0")
            parent = (place / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if b"oslorpc.oslo.helper" in words and int(parent) == os.getpid():
            found.append(int(place.name))
    return found


def test_values_and_context_arrive_as_with_other_drivers(serve, client):
    serve()
    c = client()
    for value in (None, 0, False, "", [], {}, 2**70, 1.0, "ü😀", {"a": [1, {"b": None}]}):
        got = c.call({}, "echo", value=value)
        assert got == value and type(got) is type(value)
    assert c.call({}, "echo", value=(1, {2})) == [1, [2]]
    assert c.call({}, "echo", value={1: b"x"}) == {"1": "x"}
    assert c.call({"user": "ü", "roles": ["a"]}, "context") == {"user": "ü", "roles": ["a"]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        c.call({}, "echo", value=float("nan"))
    with pytest.raises(ValueError, match="surrogates"):
        c.call({}, "echo", value="\ud800")


def test_endpoints_are_selected_as_upstream_does(serve, client):
    serve()
    c = client()
    assert c.prepare(namespace="old", version="1.2").call({}, "echo", value=1) == 1
    assert c.prepare(namespace="other", version="2.0").call({}, "second") == "second"
    assert c.prepare(version="5.0").call({}, "anything", a=1) == ["anything", {"a": 1}]
    for target, method, kind in (
        ({"version": "1.4"}, "echo", "UnsupportedVersion"),
        ({"namespace": "none"}, "echo", "UnsupportedVersion"),
        ({}, "no_such", "NoSuchMethod"),
        ({}, "_hidden", "NoSuchMethod"),
    ):
        with pytest.raises(om.RemoteError) as caught:
            c.prepare(**target).call({}, method)
        assert caught.value.exc_type == kind


def test_errors_of_the_dispatcher_are_rebuilt_where_they_are_allowed(serve, client):
    serve()
    with pytest.raises(om.NoSuchMethod):
        client(["oslo_messaging.rpc.dispatcher"]).call({}, "no_such")


def test_exceptions_keep_class_arguments_traceback_and_hops(serve, client):
    serve()
    with pytest.raises(ReservedError) as caught:
        client([__name__]).call({}, "reserved", port=7)
    error = caught.value
    assert error.kwargs == {"port": 7}
    assert type(error).__name__ == "ReservedError_Remote" and type(error).__module__ == __name__ + "_Remote"
    assert str(error).startswith("port is reserved\n") and 'raise ReservedError("port is reserved"' in str(error)
    assert error.oslorpc_hops == ["s1"]
    with pytest.raises(om.RemoteError) as caught:
        client().call({}, "reserved", port=7)
    assert (caught.value.exc_type, caught.value.value) == ("ReservedError", "port is reserved")
    assert any("raise ReservedError" in line for line in caught.value.traceback)


class ToldError(Exception):
    """An exception like Nova's."""

    def __init__(self, message=None, **kwargs):
        super().__init__(message or "no port {port}".format(**kwargs))
        self.kwargs = kwargs


@pytest.mark.parametrize(
    "error, data",
    [
        (ToldError(port=7), {"port": 7}),  # other languages read these as fields
        (ToldError("none", port=7), {"args": ["none"], "kwargs": {"port": 7}}),
        (ToldError("none"), {"args": ["none"], "kwargs": {}}),
        (ValueError("none"), {"args": ["none"], "kwargs": {}}),
    ],
)
def test_data_of_exceptions(error, data):
    from oslorpc.oslo import failure

    described = failure.describe((type(error), error, None))
    assert described[1] == str(error) and json.loads(described[4]) == data
    with pytest.raises(type(error)) as e:
        failure.raise_remote(described, [__name__])
    assert str(e.value).split("\n")[0] == str(error)
    assert getattr(e.value, "kwargs", None) == getattr(error, "kwargs", None)


def test_arguments_that_do_not_fit_are_a_type_error(serve, client):
    serve()
    with pytest.raises(TypeError, match="no_such_argument"):
        client().call({}, "echo", no_such_argument=1)


def test_a_nested_failure_keeps_its_type_and_hops(serve, client, transport, topic):
    serve("inner")
    inner = client([__name__]).prepare(server="inner")

    class Outer:
        def reserved(self, ctxt, port):
            inner.call(ctxt, "reserved", port=port)

        def lost(self, ctxt):
            client().prepare(server="inner").call(ctxt, "reserved", port=1)

    serve("outer", [Outer()])
    c = client([__name__]).prepare(server="outer")
    with pytest.raises(ReservedError) as caught:
        c.call({}, "reserved", port=8)
    assert caught.value.kwargs == {"port": 8}
    assert caught.value.oslorpc_hops == ["inner", "outer"]
    with pytest.raises(ReservedError) as caught:  # a server that may not rebuild it passes it on unchanged
        c.call({}, "lost")
    assert caught.value.oslorpc_hops == ["inner", "outer"]


def test_a_result_that_is_not_json_is_told_at_once(serve, client):
    serve()
    with pytest.raises(om.RemoteError) as caught:
        client(timeout=60).call({}, "unwritable")
    assert caught.value.exc_type == "BadResult"


def test_casts_run_and_hide_what_servers_log(serve, client, caplog):
    first, second = serve("s1"), serve("s2")
    c = client()
    c.prepare(server="s2").cast({}, "note", value=1)
    until("it ran", lambda: second.seen == [1])
    c.prepare(fanout=True).cast({}, "note", value=2)
    until("it ran twice", lambda: first.seen == [2] and second.seen == [1, 2])
    c.cast({}, "no_such")
    c.prepare(version="1.9").cast({}, "note", value=3)
    c.prepare(version="1.9", fanout=True).cast({}, "note", value=3)
    until("it is logged", lambda: 'no endpoint has a method "no_such"' in caplog.text)


def test_no_server_is_a_timeout_and_at_least_once_fails_fast(client, transport):
    with pytest.raises(om.MessagingTimeout, match="no server is on the topic"):
        client(timeout=1).call({}, "echo")
    with pytest.raises(om.MessagingTimeout):
        client(timeout=0).call({}, "echo")
    with pytest.raises(om.MessageDeliveryFailure):
        client(timeout=60, retry=0).call({}, "echo")
    options = om.TransportOptions(at_least_once=True)
    for send in ("call", "cast"):
        with pytest.raises(om.MessageUndeliverable) as caught:
            getattr(client(timeout=60, transport_options=options), send)({}, "echo")
        assert caught.value.routing_key.startswith("t") and "no server" in str(caught.value.exception)


def test_a_cast_that_no_server_takes_fails_or_is_logged(transport, topic, caplog):
    target = om.Target(topic=topic)
    with pytest.raises(om.MessageDeliveryFailure, match="no server is on the topic"):
        rpc_client(transport(cast_timeout=0.5), target).cast({}, "echo")
    quiet = transport(cast_timeout=0.5, undelivered_cast="log")
    rpc_client(quiet, target).cast({}, "echo")
    assert "cast lost: " in caplog.text
    rpc_client(quiet, target).prepare(fanout=True).cast({}, "echo")


def test_a_monitored_call_outlives_its_silence(serve, client):
    endpoint = serve()
    answers = []
    c = client(timeout=60, call_monitor_timeout=1)
    caller = threading.Thread(target=lambda: answers.append(c.call({}, "wait")))
    caller.start()
    until("it runs", lambda: endpoint.seen)
    time.sleep(2)  # the call must survive a silence that is longer than call_monitor_timeout
    endpoint.gate.set()
    caller.join()
    assert answers == [True]


def test_a_client_knows_gateways_alone(serve, opened, transport, local, topic):
    endpoint = serve()
    relay = Relay()
    try:
        until("the server is listed", opened(local).instances)
        relay.show(*opened(local).instances())
        c = rpc_client(transport(url=f"oslorpc://{relay.addr}/"), om.Target(topic=topic), timeout=30)
        assert c.call({"user": "u"}, "echo", value=2**70) == 2**70
        c.prepare(fanout=True).cast({}, "note", value="all")
        until("the cast ran", lambda: endpoint.seen == ["all"])
        assert relay.passed
    finally:
        relay.stop()


def test_notifications_name_the_other_url(transport):
    driver = transport()._driver
    for refused in (driver.send_notification, driver.listen_for_notifications):
        with pytest.raises(NotImplementedError, match=r"transport_url in the section \[oslo_messaging_notifications\]"):
            refused(None, {}, {}, 2.0) if refused == driver.send_notification else refused([], None, 1, 1)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("oslorpc://127.0.0.1:1/host", "no virtual hosts"),
        ("oslorpc://127.0.0.1/", "it has no port"),
        ("oslorpc+consul://user:secret@host:8500/", "no user names and passwords"),
        ("oslorpc+local:///x?surprise=1", "surprise"),
    ],
)
def test_bad_urls_are_refused(declared, url, why):
    cfg.CONF([], project="test", prog="test")
    with pytest.raises(om.InvalidTransportURL, match=why):
        t = om.get_rpc_transport(cfg.CONF, url)
        rpc_client(t, om.Target(topic="t")).call({}, "echo")


def test_an_endpoint_with_a_bad_version_cannot_be_served(transport, topic):
    class Bad:
        target = om.Target(version="1.x")

    server = om.get_rpc_server(transport(), om.Target(topic=topic, server="s"), [Bad()])
    with pytest.raises(ValueError, match="malformed"):
        server.start()


def test_a_message_that_a_server_cannot_take_harms_no_other(serve, client, transport, topic):
    server = om.get_rpc_server(transport(), om.Target(topic=topic, server="s9"), [Endpoint()])
    server.start()
    take, server.listener.on_incoming_callback = server.listener.on_incoming_callback, None
    c = client().prepare(server="s9")
    with pytest.raises(om.MessagingTimeout, match="did not accept the message"):
        c.call({}, "echo", value=1)
    server.listener.on_incoming_callback = take
    assert c.call({}, "echo", value=2) == 2
    server.stop()
    server.wait()


def test_a_helper_that_dies_is_replaced(serve, client, caplog):
    caplog.set_level(logging.ERROR)
    endpoint = serve()
    c = client(timeout=60)
    assert c.call({}, "echo", value=1) == 1
    failed = []

    def waits():
        with pytest.raises(om.MessageDeliveryFailure) as caught:
            c.call({}, "wait")
        failed.append(str(caught.value))

    caller = threading.Thread(target=waits)
    caller.start()
    until("it runs", lambda: endpoint.seen)
    (helper,) = helpers()
    os.kill(helper, signal.SIGKILL)
    caller.join(30)
    assert "the oslorpc helper process ended" in failed[0]
    assert c.call({}, "echo", value=2) == 2
    assert len([r for r in caplog.records if "helper process ended with status -9" in r.message]) == 1
    endpoint.gate.set()


def test_a_forked_process_gets_a_helper_of_its_own(serve, client):
    serve()
    c = client()
    assert c.call({}, "echo", value=1) == 1
    child = os.fork()
    if child == 0:
        os._exit(0 if c.call({}, "echo", value=[2]) == [2] else 1)
    _, status = os.waitpid(child, 0)
    assert status == 0
    assert c.call({}, "echo", value=3) == 3


def test_grpc_is_not_even_loaded_in_the_process_of_the_service(declared):
    program = "import sys, oslorpc.oslo.driver; sys.exit('grpc' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], env=oslosupport.environment(declared), check=False)
    assert done.returncode == 0
