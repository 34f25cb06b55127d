"""Serves a callback class of Neutron's server, unmodified, with a plugin for the test: python
neutron_server.py CONFIG.
"""

import signal
import sys
import time

from neutron.api.rpc.handlers.dhcp_rpc import DhcpRpcCallback
from neutron.common import config
from neutron_lib import context, exceptions, rpc
from neutron_lib.agent import topics
from neutron_lib.plugins import constants, directory
from oslo_config import cfg

PORT = {"id": "p1", "network_id": "n1", "device_id": "dhcp1", "fixed_ips": [{"ip_address": "10.0.0.2"}]}


class Plugin:
    """The plugin that the callback class asks, as if the database had one network and one port."""

    supported_extension_aliases = ()

    def get_networks(self, ctxt, filters=None, fields=None):
        assert isinstance(ctxt, context.Context), ctxt
        return [{"id": "n1", "name": "blue", "mtu": 1500, "host": (filters or {}).get("host")}]

    def get_port(self, ctxt, port_id):
        if port_id != PORT["id"]:
            raise exceptions.PortNotFound(port_id=port_id)
        return PORT

    def delete_ports_by_device_id(self, ctxt, device_id, network_id):
        print("deleted", device_id, network_id, flush=True)


def main():
    config.register_common_config_options()
    config.init(["--config-file", sys.argv[1]])
    rpc.init(cfg.CONF)
    directory.add_plugin(constants.CORE, Plugin())
    connection = rpc.Connection()
    connection.create_consumer(topics.PLUGIN, [DhcpRpcCallback()], fanout=False)
    connection.consume_in_threads()
    ended = []  # no threading.Event: a signal handler must not wait for its lock
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    print("ready", flush=True)
    while not ended:
        time.sleep(0.1)
    connection.close()


main()
