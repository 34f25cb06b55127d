"""A service that uses oslo.messaging, for the tests. Only its transport_url names oslorpc.

python osloservice.py serve|workers|client threading|eventlet URL TOPIC [SERVER]
"""

import sys

if sys.argv[2] == "eventlet":
    import eventlet

    eventlet.monkey_patch()

import json
import logging
import os
import signal
import threading
import time

import oslo_messaging as om
from oslo_config import cfg
from oslosupport import rpc_client


class ReservedError(Exception):
    pass


ReservedError.__module__ = "osloservice"


class Endpoint:
    target = om.Target(version="1.3")

    def echo(self, ctxt, value=None):
        return value

    def pid(self, ctxt):
        return os.getpid()

    def sleep(self, ctxt, seconds):
        time.sleep(seconds)

    def reserved(self, ctxt, port):
        raise ReservedError("port is reserved")


def serve(transport, topic, name):
    server = om.get_rpc_server(transport, om.Target(topic=topic, server=name), [Endpoint()], executor=sys.argv[2])
    server.start()
    ended = []  # no threading.Event: the interrupted code may hold its lock
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    print("ready", flush=True)
    while not ended:
        time.sleep(0.1)
    server.stop()
    server.wait()


def fork(transport, topic, name):
    """Serve in two workers, as oslo.service starts them, after this process has used the
    transport.
    """
    from oslo_service import service

    class Worker(service.ServiceBase):
        server = None

        def start(self):
            target = om.Target(topic=topic, server=name)
            self.server = om.get_rpc_server(transport, target, [Endpoint()], executor=sys.argv[2])
            self.server.start()

        def stop(self):
            if self.server is not None:
                self.server.stop()
                self.server.wait()

        def wait(self):
            pass

        def reset(self):
            pass

    rpc_client(transport, om.Target(topic="none", fanout=True)).cast({}, "nothing")
    launcher = service.launch(cfg.CONF, Worker(), workers=2)
    print("ready", flush=True)
    launcher.wait()


def failure(call):
    try:
        call()
    except Exception as e:
        return [type(e).__name__, str(e), e.oslorpc_hops]


def calls(transport, topic):
    print("ready", flush=True)
    c = rpc_client(transport, om.Target(topic=topic), timeout=10)
    ticks = []
    ending = threading.Event()

    def tick():
        while not ending.wait(0.01):
            ticks.append(1)

    ticker = threading.Thread(target=tick)
    ticker.start()
    c.call({}, "sleep", seconds=0.3)
    ending.set()
    ticker.join()
    results = {
        "add": c.call({}, "add", a=1, b=2),
        "fail": failure(lambda: c.call({}, "fail", message="boom")),
        "arguments": failure(lambda: c.call({}, "add", a="x")),
        "ticks": len(ticks),
    }
    print("results", json.dumps(results), flush=True)


def main():
    logging.basicConfig(level=logging.INFO)
    what, _, url, topic = sys.argv[1:5]
    conf = cfg.CONF
    conf([], project="test", prog="test")
    transport = om.get_rpc_transport(conf, url)
    if what == "serve":
        serve(transport, topic, sys.argv[5])
    elif what == "workers":
        fork(transport, topic, sys.argv[5])
    else:
        calls(transport, topic)
    transport.cleanup()


main()
