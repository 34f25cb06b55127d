"""A service of oslo.messaging that moves from RabbitMQ to oslorpc, and back, by its configuration
alone.

python two_transports.py server NAME --config-file FILE
python two_transports.py client NAME --config-file FILE

docs/migrate-openstack.md has the plan, and the configuration at each step. Nothing below names
oslorpc.
"""

import itertools
import signal
import sys
import threading
import time

import oslo_messaging
from oslo_config import cfg

TARGET = oslo_messaging.Target(topic="accounts", version="1.0")


class Accounts:
    """Records the numbers that each client has sent."""

    target = TARGET

    def __init__(self):
        self._lock = threading.Lock()
        self._ran = {}

    def add(self, ctxt, client, number):
        """Record a number, and return how many the client has sent."""
        with self._lock:
            self._ran.setdefault(client, []).append(number)
            return len(self._ran[client])

    def list(self, ctxt):
        """Return the numbers of all clients."""
        with self._lock:
            return self._ran


def serve(transport, name, ended):
    """Serve until the program ends."""
    server = oslo_messaging.get_rpc_server(transport, TARGET(server=name), [Accounts()])
    server.start()
    print("ready", flush=True)
    while not ended:
        time.sleep(0.1)
    server.stop()
    server.wait()


def call(transport, name, ended):
    """Call until the program ends."""
    client = oslo_messaging.get_rpc_client(transport, TARGET, timeout=30)
    made = 0
    for number in itertools.count():
        if ended:
            break
        client.call({}, "add", client=name, number=number)
        made += 1
        if made == 50:
            print("calls", flush=True)
    print("made", made, flush=True)


def main():
    if len(sys.argv) < 3 or sys.argv[1] not in ("server", "client"):
        sys.exit("usage: two_transports.py server|client NAME [--config-file FILE]")
    what, name = sys.argv[1:3]
    cfg.CONF(sys.argv[3:], project="accounts", prog="accounts")
    transport = oslo_messaging.get_rpc_transport(cfg.CONF)
    ended = []  # no threading.Event: a signal handler must not wait for its lock
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    {"server": serve, "client": call}[what](transport, name, ended)
    transport.cleanup()


main()
