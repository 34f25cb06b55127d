"""The caller of a message that a gateway forwards: the original one, if the server trusts the
gateway.
"""

import os

import grpc
import pytest
from conftest import Process, free_ports
from test_trust import Authority

import oslorpc
from oslorpc import behalf
from oslorpc.connection import CALL, GET_INFO
from oslorpc.errors import Kind
from oslorpc.identity import Identity
from oslorpc.v1 import introspection_pb2 as introspection
from oslorpc.v1 import rpc_pb2 as pb

BOTH = "DNS:{}.example,DNS:localhost,IP:127.0.0.1"


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    made = Authority(tmp_path_factory.mktemp("pki"))
    for name in ("server", "gw", "ann", "bob", "eve"):
        made.issue(name, names=BOTH.format(name))
    return made


def having(url, pki, name, **more):
    others = "".join(f"&{key}={value}" for key, value in more.items())
    return f"{url}?ca={pki / 'ca.pem'}&cert={pki / name}.pem&key={pki / name}.key{others}"


class Methods:
    def echo(self, ctxt, x: int):
        return x


@pytest.fixture
def fleet(opened, go, local, topic, pki):
    """Starts a gateway, and servers that note the callers of their messages."""
    running = []

    class Fleet:
        def __init__(self):
            self.seen = []

        def serve(self, name="a", url=None, **more):
            interceptor = oslorpc.Interceptor(accept=lambda m: self.seen.append((m.peer, m.caller)))
            transport = opened(url or having(local, pki, "server", **more), interceptors=[interceptor])
            return transport.server(oslorpc.Target(topic=topic, server=name), [Methods()]).start()

        def gateway(self, url=None, attach=False):
            addr = f"127.0.0.1:{free_ports(1)[0]}"
            options = ["--attach"] if attach else []
            p = Process(go, "--transport", url or having(local, pki, "gw"), "gateway", "--listen", addr, *options)
            running.append(p)
            p.await_line("is ready at")
            return addr

        def caller(self, name, addr):
            return opened(having(f"gateway://{addr}", pki, name), caller=name).client(
                oslorpc.Target(topic=topic), timeout=20
            )

    yield Fleet()
    for p in running:
        p.end(9)


def test_the_caller_is_the_original_one_where_the_gateway_is_trusted(fleet):
    fleet.serve(gateways="dns:gw.example")
    fleet.caller("ann", fleet.gateway()).call({}, "echo", x=1)
    (peer, caller) = fleet.seen[-1]
    assert peer.identity.proof == "gateway" and "dns:ann.example" in peer.identity.names
    assert caller == "ann" and peer.addr.startswith("127.0.0.1:")
    assert peer.via.identity.proof == "tls" and "dns:gw.example" in peer.via.identity.names


@pytest.mark.parametrize("gateways", [{}, {"gateways": "dns:other.example"}])
def test_else_it_is_the_gateway(fleet, gateways):
    fleet.serve(**gateways)
    fleet.caller("ann", fleet.gateway()).call({}, "echo", x=1)
    (peer, _) = fleet.seen[-1]
    assert peer.via is None and "dns:gw.example" in peer.identity.names and peer.identity.proof == "tls"


def test_the_policy_is_about_the_original_caller(fleet, tmp_path):
    policy = tmp_path / "policy.json"
    policy.write_text('{"rules": [{"name": "ann", "from": ["dns:ann.example"]}]}')
    fleet.serve(gateways="dns:gw.example", policy=policy)
    addr = fleet.gateway()
    assert fleet.caller("ann", addr).call({}, "echo", x=1) == 1
    for deliver in (fleet.caller("bob", addr).call, fleet.caller("bob", addr).prepare(server="a").cast):
        with pytest.raises(oslorpc.Error) as e:
            deliver({}, "echo", x=1)
        assert e.value.kind is Kind.ACCESS_DENIED and e.value.safe_to_retry
    assert all("dns:ann.example" in peer.identity.names for peer, _ in fleet.seen)


def test_requests_are_counted_for_the_original_caller(fleet, pki, topic):
    addr = fleet.serve(gateways="dns:gw.example").addr
    fleet.caller("ann", fleet.gateway()).call({}, "echo", x=1)
    files = [(pki / name).read_bytes() for name in ("ca.pem", "eve.key", "eve.pem")]
    with grpc.secure_channel(addr, grpc.ssl_channel_credentials(*files)) as channel:
        ask = channel.unary_unary(GET_INFO, response_deserializer=introspection.GetInfoResponse.FromString)
        info = ask(introspection.GetInfoRequest(topic=topic, requests=True).SerializeToString(), timeout=20)
    assert [(row.caller, row.identity) for row in info.servers[0].requests] == [("ann", "dns:ann.example")]


def test_an_attached_server_trusts_its_gateway(fleet, pki):
    addr = fleet.gateway(attach=True)
    fleet.serve(url=having(f"gateway://{addr}", pki, "server", gateways="dns:gw.example"))
    fleet.caller("bob", addr).call({}, "echo", x=1)
    (peer, caller) = fleet.seen[-1]
    assert "dns:bob.example" in peer.identity.names and caller == "bob"
    assert "dns:gw.example" in peer.via.identity.names


def stating(topic, caller):
    r = pb.CallRequest()
    m = r.message
    m.target.topic, m.method, m.kwargs.json = topic, "echo", '{"x":1}'
    m.caller.CopyFrom(caller)
    return r.SerializeToString()


def test_what_other_senders_say_of_themselves_counts_nowhere(fleet, topic, pki):
    addr = fleet.serve(url=None, gateways="dns:gw.example").addr
    lie = pb.Caller(names=["dns:admin.example"], address="10.9.9.9:1", agent="admin")
    files = [(pki / name).read_bytes() for name in ("ca.pem", "eve.key", "eve.pem")]
    with grpc.secure_channel(addr, grpc.ssl_channel_credentials(*files)) as channel:
        channel.unary_unary(CALL)(stating(topic, lie), timeout=20)
        (peer, caller) = fleet.seen[-1]
        assert peer.via is None and "dns:eve.example" in peer.identity.names and caller != "admin"
        for large in (pb.Caller(names=["n"] * 65), pb.Caller(gateways=["g"] * 9), pb.Caller(agent="a" * 8193)):
            with pytest.raises(grpc.RpcError, match="larger than what gateways send") as e:
                channel.unary_unary(CALL)(stating(topic, large), timeout=20)
            assert e.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_socket_is_trusted_by_its_user_alone(opened, local, topic):
    def last(gateways):
        seen = []
        interceptor = oslorpc.Interceptor(accept=lambda m: seen.append(m.peer))
        transport = opened(local + gateways, interceptors=[interceptor])
        addr = transport.server(oslorpc.Target(topic=topic, server="a"), [Methods()]).start().addr
        with grpc.insecure_channel(addr) as channel:
            channel.unary_unary(CALL)(stating(topic, pb.Caller(names=["dns:ann.example"])), timeout=20)
        transport.close()
        return seen[-1].identity

    assert last("").proof == "user"
    assert last(f"?gateways=user:{os.geteuid()}") == Identity("gateway", ("dns:ann.example",))
    assert last(f"?gateways=user:{os.geteuid() + 1}").proof == "user"


@pytest.mark.parametrize("text", ["anyone", "gw.example", "*", ""])
def test_gateways_must_be_named(text):
    with pytest.raises(oslorpc.Error) as e:
        behalf.Gateways(text.split(","))
    assert e.value.kind is Kind.INVALID and "trusted gateways" in str(e.value)


def test_dns_names_are_compared_without_case():
    gateways = behalf.Gateways(["dns:*.Gateways.example", "spiffe://cloud/gw/**"])
    assert gateways.believes(Identity("tls", ("dns:GW1.gateways.example",)))
    assert gateways.believes(Identity("tls", ("spiffe://cloud/gw/a/b",)))
    assert not gateways.believes(Identity("tls", ("dns:a.b.gateways.example", "spiffe://cloud/other")))
    assert not gateways.believes(Identity())
