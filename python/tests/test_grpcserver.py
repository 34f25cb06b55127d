"""The gRPC server, both on grpcio's core and on grpc.aio, and its treatment of clients that break
the rules.
"""

import concurrent.futures
import re
import subprocess
import sys
import threading

import grpc
import pytest
from conftest import until

import oslorpc
from oslorpc import grpcrpc, grpcserver
from oslorpc.connection import CALL, GET_INFO
from oslorpc.errors import Kind
from oslorpc.grpcrpc import Rpc
from oslorpc.v1 import introspection_pb2 as introspection
from oslorpc.v1 import rpc_pb2 as pb
from oslorpc.workers import Workers


class Methods:
    def __init__(self):
        self.began, self.go_on, self.canceled = threading.Event(), threading.Event(), threading.Event()

    def echo(self, ctxt, value):
        return value

    def count(self, ctxt, n: int):
        yield from range(n)

    def fail(self, ctxt):
        raise ValueError("no")

    def block(self, ctxt):
        self.began.set()
        while not self.go_on.wait(0.02):
            if ctxt.canceled:
                self.canceled.set()

    async def concurrent(self, ctxt):
        return "async"


@pytest.fixture(params=["core", "grpc.aio"])
def served(request, opened, topic, monkeypatch):
    """A server, a client of it, and its address."""
    if request.param == "grpc.aio":
        monkeypatch.setattr(grpcserver, "available", lambda: False)
    methods = Methods()
    transport = opened("static://other=127.0.0.1:1")
    server = transport.server(oslorpc.Target(topic=topic, server="a"), [methods])
    address = server.start().addr
    client = opened(f"static://{topic}={address}").client(oslorpc.Target(topic=topic), timeout=20)
    yield server, client, address, methods
    methods.go_on.set()
    if request.param == "core":
        until("every RPC is forgotten", lambda: not server._engine.host._server._open)


def test_the_core_of_this_grpcio_is_used():
    assert grpcserver.available()


@pytest.mark.parametrize("version", ["1.86.0", "1.72.1", "2.0.0", "1.x"])
def test_the_core_of_an_untried_grpcio_is_not_used(monkeypatch, version):
    monkeypatch.setattr(grpc, "__version__", version)
    assert not grpcserver.available()


def test_every_delivery(served):
    _, client, _, _ = served
    assert client.call({}, "echo", value=[1, None]) == [1, None]
    assert client.call({}, "concurrent") == "async"
    assert client.prepare(call_monitor_timeout=5).call({}, "echo", value="monitored") == "monitored"
    assert list(client.multicall({}, "count", n=1000)) == list(range(1000))
    client.cast({}, "echo", value=1)
    with pytest.raises(oslorpc.RemoteError, match="no"):
        client.call({}, "fail")
    with pytest.raises(oslorpc.Error) as e:
        client.call({}, "missing")
    assert e.value.kind is Kind.NO_SUCH_METHOD and e.value.safe_to_retry


def test_a_caller_that_has_its_result_finds_the_worker_free(opened, topic, monkeypatch):
    """The thread of a method sends its result, perhaps before the event loop takes the worker
    back.
    """
    server = opened("static://other=127.0.0.1:1").server(
        oslorpc.Target(topic=topic, server="a"), [Methods()], workers=1, queue=0
    )
    address = server.start().addr
    client = opened(f"static://{topic}={address}").client(oslorpc.Target(topic=topic), timeout=20, retry=0)
    with monkeypatch.context() as m:
        m.setattr(Workers, "_tell", lambda workers: setattr(workers, "_telling", False))  # the loop is late
        for n in range(20):
            assert client.call({}, "echo", value=n) == n
        with grpc.insecure_channel(address) as channel:
            ask = channel.unary_unary(GET_INFO, None, introspection.GetInfoResponse.FromString)
            assert [s.running for s in ask(b"", timeout=20).servers] == [0]
    assert client.call({}, "echo", value="the loop is in time again")


def test_a_stop_waits_until_results_are_sent(opened, topic, monkeypatch):
    """A process may end after the stop of its server."""
    server = opened("static://other=127.0.0.1:1").server(oslorpc.Target(topic=topic, server="a"), [Methods()])
    client = opened(f"static://{topic}={server.start().addr}").client(oslorpc.Target(topic=topic), timeout=20)
    dispatcher = server._engine.host.services.servers[0].dispatcher
    answer, go_on, events = Rpc._answer, threading.Event(), []

    def late(*args):
        assert go_on.wait(20)
        events.append("sent")
        answer(*args)

    monkeypatch.setattr(Rpc, "_answer", late)

    def stop():
        server.stop()
        events.append("stopped")

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        result = pool.submit(client.call, {}, "echo", value=1)
        until("the method has ended", lambda: dispatcher._workers._sending)
        stopping = pool.submit(stop)
        until("the server stops", lambda: dispatcher.phase == "stopping")
        server._engine._loop.call_soon_threadsafe(dispatcher.settle)  # as another message may
        until("the server waits for nothing else", dispatcher._idle.is_set)
        go_on.set()
        assert result.result(20) == 1
        stopping.result(20)
    assert events == ["sent", "stopped"]


def test_an_rpc_ends_once(monkeypatch):
    """A method's thread and the event loop may try to end it at the same time."""
    sent = []
    monkeypatch.setattr(Rpc, "_start_if_open", lambda self, operations, tag: sent.append(operations))
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with concurrent.futures.ThreadPoolExecutor(4) as threads:
            for n in range(500):
                rpc = Rpc.__new__(Rpc)
                rpc._lock, rpc._ended, rpc._began, rpc._trailing = threading.Lock(), False, False, None
                rpc._handler = grpc.unary_unary_rpc_method_handler(None)
                ready = threading.Barrier(4)

                def end(i, rpc=rpc, ready=ready):
                    ready.wait()
                    rpc.finish(4, "late") if i % 2 else rpc.promise(b"")()

                list(threads.map(end, range(4)))
                assert len(sent) == n + 1
    finally:
        sys.setswitchinterval(interval)


def test_an_answer_has_no_trailers_of_a_late_error(monkeypatch):
    """The deadline may pass between the end of the method and the sending of its result."""
    made = []
    monkeypatch.setattr(grpcrpc.core, "SendStatusFromServerOperation", lambda *args: made.append(args))
    monkeypatch.setattr(Rpc, "_start_if_open", lambda self, operations, tag: True)
    rpc = Rpc.__new__(Rpc)
    rpc._lock, rpc._ended, rpc._began, rpc._trailing = threading.Lock(), False, False, None
    rpc._handler = grpc.unary_unary_rpc_method_handler(None)
    send = rpc.promise(b"")
    rpc.set_trailing_metadata((("grpc-status-details-bin", b"x"),))
    rpc.finish(4, "late")
    send()
    assert made == [(None, 0, b"", 0)]


def test_a_caller_that_leaves_cancels_the_method(served):
    _, _, address, methods = served
    with grpc.insecure_channel(address) as channel:
        future = channel.unary_unary(CALL).future(request(served, "block"), timeout=20)
        assert methods.began.wait(20)
        future.cancel()
        assert methods.canceled.wait(20)


def test_a_method_that_outlives_a_forced_stop(served):
    server, client, _, methods = served

    def call():
        with pytest.raises(oslorpc.Error):
            client.call({}, "block")

    caller = threading.Thread(target=call)
    caller.start()
    assert methods.began.wait(20)
    with pytest.raises(oslorpc.Error):
        server.stop(timeout=0.2)
    caller.join(20)
    assert not caller.is_alive()
    methods.go_on.set()  # its result is dropped


def test_requests_of_raw_clients(served):
    _, client, address, _ = served
    with grpc.insecure_channel(address, options=[("grpc.max_send_message_length", -1)]) as channel:
        with pytest.raises(grpc.RpcError) as e:
            channel.unary_unary(CALL)(b"x" * (18 << 20), timeout=20)
        assert e.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        with pytest.raises(grpc.RpcError) as e:
            channel.stream_unary(CALL)(iter(()), timeout=2)
        assert e.value.code() in (grpc.StatusCode.INTERNAL, grpc.StatusCode.DEADLINE_EXCEEDED)
        with pytest.raises(grpc.RpcError) as e:
            channel.unary_unary(CALL)(b"\xff", timeout=20)
        assert e.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert client.call({}, "echo", value=1) == 1


def request(served, method, kwargs="{}"):
    r = pb.CallRequest()
    r.message.target.topic, r.message.method, r.message.kwargs.json = served[1].target.topic, method, kwargs
    return r.SerializeToString()


def test_info_has_what_limits_refused(served, run):
    _, client, address, _ = served
    large = '{"value":"' + "x" * (16 << 20) + '"}'
    deep = '{"value":' + "[" * 2000 + "]" * 2000 + "}"
    with grpc.insecure_channel(address, options=[("grpc.max_send_message_length", -1)]) as channel:
        for kwargs, code in [(large, "RESOURCE_EXHAUSTED"), (deep, "INVALID_ARGUMENT"), (deep, "INVALID_ARGUMENT")]:
            with pytest.raises(grpc.RpcError) as e:
                channel.unary_unary(CALL)(request(served, "echo", kwargs), timeout=20)
            assert e.value.code().name == code
    topic = client.target.topic
    out = run(f"static://{topic}={address}", "info", topic)[1]
    assert re.search("too large.*1|1.*too large", out) and re.search("too deeply.*2|2.*too deeply", out), out


PROGRAM = """
import sys, threading, oslorpc

class Methods:
    def echo(self, ctxt, value):
        return value

t = oslorpc.open("static://other=127.0.0.1:1")
print(t.server(oslorpc.Target(topic="t", server="a"), [Methods()]).start().addr, flush=True)
sys.stdin.readline()
"""


def test_a_process_may_end_without_closing(opened):
    """Threads of gRPC must not outlive the interpreter, which would crash."""
    for _ in range(5):
        p = subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        client = opened(f"static://t={p.stdout.readline().strip()}").client(oslorpc.Target(topic="t"), timeout=2)
        called, ended = [], threading.Event()

        def keep_calling(client=client, called=called, ended=ended):
            while not ended.is_set():
                try:
                    called.append(client.call({}, "echo", value=1))
                except oslorpc.Error:
                    return

        callers = [threading.Thread(target=keep_calling) for _ in range(4)]
        for caller in callers:
            caller.start()
        until("calls are answered", lambda called=called: len(called) > 50)
        p.stdin.close()
        assert p.wait(20) == 0
        ended.set()
        for caller in callers:
            caller.join(30)
