"""A gateway in Python for tests of rare situations. It has the RPCs that clients need."""

import contextlib
import queue
import shutil
import socket
import tempfile
import threading
from concurrent import futures

import grpc

from oslorpc import errors, status
from oslorpc.discovery.base import ACTIVE, DRAINING, HELD, Instance
from oslorpc.v1 import gateway_pb2 as pb
from oslorpc.v1 import rpc_pb2 as rpc

ANY = ()
STATES = {2: HELD, 3: DRAINING}
_MESSAGES, _SERVICE = "/oslorpc.v1.RPCService/", "/oslorpc.v1.GatewayService/"


class Tunnel:
    """An attached process. Data sent to the socket at ``addr`` goes to the process, so the relay
    can be its client.
    """

    def __init__(self, relay):
        self.relay, self.out = relay, queue.Queue()
        self.dir = tempfile.mkdtemp(prefix="relay-")
        self.addr = f"unix:{self.dir}/s"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(f"{self.dir}/s")
        self.listener.listen(1)
        self.conn = None
        self.instances, self.arrived = [], queue.Queue()

    def write(self):
        with contextlib.suppress(OSError):
            for data in iter(self.arrived.get, None):
                self.conn.sendall(data)

    def accept(self):
        with contextlib.suppress(OSError):
            self.conn, _ = self.listener.accept()
            threading.Thread(target=self.write, daemon=True).start()
            while data := self.conn.recv(16000):
                self.out.put(pb.AttachResponse(data=data))
        self.out.put(None)

    def receive(self, requests):
        threading.Thread(target=self.accept, daemon=True).start()
        with contextlib.suppress(grpc.RpcError, OSError):
            for request in requests:
                if request.WhichOneof("frame") == "publish":
                    self.publish(request.publish.instances)
                else:
                    self.arrived.put(request.data)
        self.end()

    def publish(self, instances):
        answer = pb.AttachResponse(published=pb.AttachPublished(boot_id=self.relay.boot_id))
        if self.relay.denies is not None:
            answer.published.status = status.encode(self.relay.denies)[2]
        else:
            others = [i for i in self.relay.instances if i not in self.instances]
            self.instances = [
                Instance(i.id, i.boot_id, i.exchange, i.topic, i.server, self.addr, STATES.get(i.state, ACTIVE), ANY)
                for i in instances
            ]
            self.relay.show(*others, *self.instances)
        self.out.put(answer)

    def end(self):
        self.relay.show(*(i for i in self.relay.instances if i not in self.instances))
        self.instances = []
        for s in (self.listener, self.conn):
            if s is not None:
                with contextlib.suppress(OSError):
                    s.shutdown(socket.SHUT_RDWR)
                s.close()
        self.arrived.put(None)
        self.out.put(None)
        shutil.rmtree(self.dir, ignore_errors=True)


class Relay(grpc.GenericRpcHandler):
    """Passes messages on to instances by their ids."""

    def __init__(self, boot_id="relay", port=0):
        self.boot_id, self.reset, self.error = boot_id, False, ""
        self.instances = []
        self.refuses = None  # the reason for which the relay refuses messages, or None
        self.holds = threading.Event()  # while clear, the answers to messages are held back
        self.holds.set()
        self.passed, self.watched = [], []
        self.attaches, self.denies = True, None  # the error that publications get, or None
        self.tunnels = []
        self._watches, self._channels = [], {}
        self.server = grpc.server(futures.ThreadPoolExecutor(64), options=[("grpc.so_reuseport", 0)])
        self.server.add_generic_rpc_handlers((self,))
        self.addr = f"127.0.0.1:{self.server.add_insecure_port(f'127.0.0.1:{port}')}"
        self.server.start()

    def show(self, *instances):
        """Replace the instances, and tell all watches."""
        self.instances = list(instances)
        for watch in list(self._watches):
            watch.put(True)

    def end_watches(self):
        for watch in list(self._watches):
            watch.put(False)

    def stop(self):
        self.end_watches()
        self.server.stop(None).wait()

    def service(self, details):
        path = details.method
        if path.startswith(_MESSAGES):
            return grpc.stream_stream_rpc_method_handler(lambda requests, context: self._pass(path, requests, context))
        if path == _SERVICE + "Watch":
            return grpc.unary_stream_rpc_method_handler(
                self._watch, pb.WatchRequest.FromString, pb.WatchResponse.SerializeToString
            )
        if path == _SERVICE + "Attach" and self.attaches:
            return grpc.stream_stream_rpc_method_handler(
                self._attach, pb.AttachRequest.FromString, pb.AttachResponse.SerializeToString
            )
        if path == _SERVICE + "List":
            return grpc.unary_unary_rpc_method_handler(
                lambda request, context: pb.ListResponse(instances=self._listed(), boot_id=self.boot_id),
                pb.ListRequest.FromString,
                pb.ListResponse.SerializeToString,
            )
        return None

    def _listed(self):
        for i in self.instances:
            names = {"exchange": i.exchange, "topic": i.topic, "server": i.server}
            listed = pb.Instance(id=i.id, boot_id=i.boot_id, state=1, **names)
            for one in i.implemented:
                listed.implemented.add(namespace=one.namespace or None, version=str(one.version))
            yield listed

    def _watch(self, request, context):
        changes = queue.SimpleQueue()
        self._watches.append(changes)
        self.watched.append(request.topic)
        context.add_callback(lambda: changes.put(False))
        going = True
        while going:
            shown = [i for i in self._listed() if (i.exchange, i.topic) == (request.exchange, request.topic)]
            yield pb.WatchResponse(instances=shown, reset=self.reset, error=self.error, boot_id=self.boot_id)
            going = changes.get()
        self._watches.remove(changes)
        if context.is_active():
            self._refuse(context, errors.STOPPING, "the relay stops")

    def _refuse(self, context, reason, text):
        _, text, encoded = status.encode(errors.refused(reason, text))
        context.set_trailing_metadata(((status.DETAILS, encoded),))
        context.abort(grpc.StatusCode.UNAVAILABLE, text)

    def close_tunnels(self):
        """Announce to attached processes that the relay is about to stop."""
        for tunnel in self.tunnels:
            tunnel.out.put(pb.AttachResponse(closing=pb.AttachClosing()))

    def _attach(self, requests, context):
        tunnel = Tunnel(self)
        self.tunnels.append(tunnel)
        context.add_callback(tunnel.end)
        threading.Thread(target=tunnel.receive, args=(requests,), daemon=True).start()
        yield from iter(tunnel.out.get, None)

    def _pass(self, path, requests, context):
        request = next(requests)
        m = rpc.CallRequest.FromString(request).message
        if self.refuses is not None:
            self._refuse(context, self.refuses, "the relay refuses")
        to = next((i for i in self.instances if i.id == m.instance_id), None)
        if to is None:
            self._refuse(context, errors.MISDIRECTED, f"the relay knows no instance {m.instance_id}")
        if to.addr not in self._channels:
            target = to.addr if to.addr.startswith("unix:") else "ipv4:" + to.addr
            self._channels[to.addr] = grpc.insecure_channel(target, [("grpc.default_authority", "localhost")])
        self.passed.append((m.method, m.instance_id))
        left = context.time_remaining()
        timeout = left if left is not None and left < 1e6 else None
        stream = self._channels[to.addr].unary_stream(path)(request, timeout=timeout)
        context.add_callback(stream.cancel)
        try:
            for response in stream:
                self.holds.wait()
                yield response
        except grpc.RpcError as e:
            with contextlib.suppress(ValueError):
                context.set_trailing_metadata(tuple(e.trailing_metadata() or ()))
            context.abort(e.code(), e.details())
