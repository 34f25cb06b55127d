"""Neutron's and Nova's own classes, unmodified, talk to the Go programs of examples/ over the
driver and Consul.

`make test-openstack` installs Neutron and Nova from PyPI, and runs these tests.
"""

import json
import shutil

import oslosupport
import pytest
from conftest import ROOT, Process, consul, go, run, until  # noqa: F401  fixtures

PYTHON = ROOT / ".bin" / "venv-openstack" / "bin" / "python"
BIN = ROOT / ".bin" / "examples"


@pytest.fixture(scope="module")
def declared():
    place = oslosupport.declare()
    yield place
    shutil.rmtree(place)


@pytest.fixture
def program(declared, consul, tmp_path):  # noqa: F811
    """A function that starts programs: the examples in Go by name, and the scripts in this
    directory.
    """
    running = []
    config = tmp_path / "service.conf"
    config.write_text(f"""[DEFAULT]
transport_url = oslorpc+{consul}/
rpc_response_timeout = 30
[upgrade_levels]
compute = gazpacho
[oslo_messaging_notifications]
driver = noop
""")

    def begin(word, name, *arguments):
        if name.endswith(".py"):
            path = ROOT / "python" / "openstack" / name
            command = [PYTHON, "-W", "ignore", path, config, *arguments]
        else:
            exchange = name.partition("-")[0]
            command = [BIN / name, "--transport", f"{consul}?exchange={exchange}", *arguments]
        p = Process(*map(str, command), env=oslosupport.environment(declared))
        running.append(p)
        line = p.await_line(word, 90)
        return json.loads(line.partition(" ")[2]) if word == "results" else p

    yield begin
    for p in running:
        p.end(9)


@pytest.fixture
def call(consul, run):  # noqa: F811
    """Calls a method as a Go client, and returns the result, or the error as text."""

    def command(exchange, *arguments):
        code, out, err = run(f"{consul}?exchange={exchange}", "call", *arguments)
        return json.loads(out) if code == 0 else err

    return command


def test_neutrons_clients_call_a_go_server(program, call):
    program("ready", "neutron-server", "--host", "ctl1")
    network = call("neutron", "neutron", "create_network", "name=blue")["id"]
    results = program("results", "neutron_agent.py", "net1", network)
    assert results == {
        "report": "new",
        "networks": [network],
        "network": network,
        "port": network,
        "again": True,
        "none": None,
    }


def test_a_go_client_calls_neutrons_callbacks(program, call):
    server = program("ready", "neutron_server.py")
    (network,) = call("neutron", "q-plugin", "get_networks", "--rpc-version", "1.7", 'filters:={"host":"h1"}')
    assert network == {"id": "n1", "name": "blue", "mtu": 1500, "host": "h1"}
    port = call("neutron", "q-plugin", "get_dhcp_port", "--rpc-version", "1.8", "port_id=p1")
    assert port["network_id"] == "n1"
    error = call("neutron", "q-plugin", "get_dhcp_port", "--rpc-version", "1.8", "port_id=px")
    assert "neutron_lib.exceptions.PortNotFound: Port px could not be found" in error
    error = call("neutron", "q-plugin", "get_dhcp_port", "--rpc-version", "1.11", "port_id=p1")
    assert "offered is 1.10" in error
    call("neutron", "q-plugin", "release_dhcp_port", "network_id=n1", "device_id=d1", "host=h1")
    server.await_line("deleted d1 n1")
    assert server.end() == 0


def test_novas_compute_api_calls_and_casts_to_a_go_compute(program, call):
    for service in ("conductor", "scheduler", "api"):
        program("ready", f"nova-{service}", "--host", "ctl1")
    compute = program("ready", "nova-compute", "--host", "compute1")
    assert call("nova", "nova", "boot", "name=vm") == ["vm"]
    compute.await_line("builds vm")
    until("it runs", lambda: call("nova", "nova", "show", "server=vm")["vm_state"] == "active")
    uuid = call("nova", "nova", "show", "server=vm")["uuid"]
    results = program("results", "nova_caller.py", "compute1", uuid)
    assert results["uptime"].endswith("1 instances, gazpacho")
    assert results["enabled"] == "enabled"
    assert results["console"] == "vm login:"
    assert results["gone"] == ["InstanceNotFound_Remote", results["uuid"], ["compute1"]]
    compute.await_line("reboots vm, HARD")
