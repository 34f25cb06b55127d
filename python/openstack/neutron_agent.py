"""Calls Neutron's server with its agents' own client classes: python neutron_agent.py CONFIG HOST
NETWORK.

It prints the results.
"""

import json
import sys

from neutron.agent import rpc as agent_rpc
from neutron.agent.dhcp.agent import DhcpPluginApi
from neutron.common import config
from neutron.conf.agent import common as agent_conf
from neutron_lib import constants, context, rpc
from neutron_lib.agent import topics
from oslo_config import cfg


def main():
    path, host, network_id = sys.argv[1:]
    config.register_common_config_options()
    agent_conf.register_agent_state_opts_helper(cfg.CONF)
    config.init(["--config-file", path])
    rpc.init(cfg.CONF)
    ctxt = context.get_admin_context_without_session()
    state = {
        "binary": "neutron-dhcp-agent",
        "host": host,
        "topic": topics.DHCP_AGENT,
        "agent_type": constants.AGENT_TYPE_DHCP,
        "availability_zone": "nova",
        "configurations": {},
        "start_flag": True,
    }
    report = agent_rpc.PluginReportStateAPI(topics.REPORTS).report_state(ctxt, state, use_call=True)
    plugin = DhcpPluginApi(topics.PLUGIN, host)
    networks = plugin.get_active_networks_info()
    network = plugin.get_network_info(network_id)
    fixed = [{"subnet_id": network.subnets[0].id}]
    port = {
        "network_id": network_id,
        "admin_state_up": True,
        "device_id": "dhcp-of-" + host,
        "name": "",
        "project_id": network.project_id if "project_id" in network else "",
        "fixed_ips": fixed,
    }
    created = plugin.create_dhcp_port({"port": port})
    results = {
        "report": report,
        "networks": [n.id for n in networks],
        "network": network.id,
        "port": created.network_id,
        "again": plugin.get_dhcp_port(created.id).id == created.id,
        "none": plugin.get_network_info("no-such-network"),
    }
    plugin.release_dhcp_port(network_id, port["device_id"])
    print("results", json.dumps(results), flush=True)


main()
