"""A gateway for tests of what real ones rarely do: python-side, with the RPCs that clients need."""

import contextlib
import queue
import threading
from concurrent import futures

import grpc

from oslorpc import errors, status
from oslorpc.v1 import gateway_pb2 as pb
from oslorpc.v1 import rpc_pb2 as rpc

_MESSAGES, _SERVICE = "/oslorpc.v1.RPCService/", "/oslorpc.v1.GatewayService/"


class Relay(grpc.GenericRpcHandler):
    """Passes messages on to instances by their ids."""

    def __init__(self, boot_id="relay", port=0):
        self.boot_id, self.reset, self.error = boot_id, False, ""
        self.instances = []
        self.refuses = None  # the reason with which messages are refused
        self.holds = threading.Event()  # messages wait for it after they were passed on
        self.holds.set()
        self.passed, self.watched = [], []
        self._watches, self._channels = [], {}
        self.server = grpc.server(futures.ThreadPoolExecutor(64), options=[("grpc.so_reuseport", 0)])
        self.server.add_generic_rpc_handlers((self,))
        self.addr = f"127.0.0.1:{self.server.add_insecure_port(f'127.0.0.1:{port}')}"
        self.server.start()

    def show(self, *instances):
        """Tell those who watch of other instances."""
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
