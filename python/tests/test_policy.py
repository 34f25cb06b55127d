"""Policies decide as in Go, and servers check them before anything else."""

import json
import subprocess

import golden
import pytest
from conftest import until
from test_trust import Authority, secured

import oslorpc
from oslorpc import policy
from oslorpc.errors import Kind
from oslorpc.identity import Template


@pytest.mark.parametrize("case", golden.load("trust.json", "verdicts"), ids=golden.name)
def test_verdicts(case):
    p = policy.parse("p", json.dumps(case["policy"]).encode())
    q = policy.Query(tuple(case["names"]), *(case[f] for f in policy.Query._fields[1:]))
    for _ in range(2):  # the second verdict is cached
        verdict = p.decide(q)
        assert (p.rules[verdict].name if verdict is not None else "") == case["rule"]


@pytest.mark.parametrize("case", golden.load("trust.json", "patterns"))
def test_patterns(case):
    assert policy.matches(case["pattern"], case["separator"], case["text"]) == case["matches"]


@pytest.mark.parametrize("case", golden.load("trust.json", "wrong_policies"), ids=golden.name)
def test_wrong_policies(case):
    with pytest.raises(oslorpc.Error) as e:
        policy.parse("p", json.dumps(case["policy"]).encode())
    assert e.value.kind is Kind.INVALID and e.value.message.startswith("p: ")


@pytest.mark.parametrize(
    "text", [b"", b"rules: [", b"mode: enforce\nmode: enforce\nrules: []\n", b"\xff", b"{}\n---\n{}\n"]
)
def test_files_that_are_no_policy(text):
    with pytest.raises(oslorpc.Error) as e:
        policy.parse("p", text)
    assert e.value.kind is Kind.INVALID


@pytest.mark.parametrize("case", golden.load("trust.json", "templates"))
def test_templates(case):
    template = Template(case["template"])
    try:
        assert template.name(case["exchange"], case["topic"], case["server"]) == case["name"]
    except ValueError:
        assert case["name"] == ""


@pytest.mark.parametrize("case", golden.load("trust.json", "wrong_templates"))
def test_wrong_templates(case):
    with pytest.raises(oslorpc.Error) as e:
        Template(case["template"])
    assert e.value.kind is Kind.INVALID


RULES = """
mode: %s
rules:
  - name: agents
    from: "spiffe://cloud/agent/*"
    method: [add, "count"]
  - name: operators
    from: "spiffe://cloud/operator"
  - name: probes
    from: anyone
    services: grpc.health.v1.Health/Check
"""


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    made = Authority(tmp_path_factory.mktemp("policy"))
    names = "DNS:localhost,IP:127.0.0.1"
    for name, uri in {"server": "server", "agent": "agent/7", "operator": "operator", "guest": "guest"}.items():
        made.issue(name, names=f"{names},URI:spiffe://cloud/{uri}")
    return made


def test_a_policy_of_a_server(start, run, local, topic, pki, tmp_path):
    file = tmp_path / "policy.yaml"
    file.write_text(RULES % "enforce")
    p = start("sync", secured(local, pki, node="server", policy=str(file)), topic, "a")

    def call(who, method, *arguments, command="call"):
        code, out, err = run(secured(local, pki, node=who), command, topic, method, *arguments)
        return out if code == 0 else "denied" if "access denied" in err else err

    assert call("agent", "add", "a:=1", "b:=2") == "3"
    assert call("operator", "whoami").startswith("{")
    for method, arguments in {"whoami": (), "subtract": (), "add": ("a:=1",)}.items():
        assert call("guest", method, *arguments) == "denied"
    assert call("agent", "echo") == "denied"
    assert call("agent", "count", "n:=2", command="multicall").split() == ["1", "2"]
    assert call("agent", "whoami", command="cast") == "denied"
    absent = run(secured(local, pki, node="guest"), "call", topic, "add", "--server", "z", "--timeout", "1s")
    assert absent[0] != 0
    code, out, _ = run(secured(local, pki, node="operator"), "info", topic)
    assert code == 0 and "agents" in out and "probes" in out
    _, out, _ = run(secured(local, pki, node="guest"), "info", topic)
    assert "add(" not in out
    p.await_line("verdict=denied identity=spiffe://cloud/guest proof=tls")
    file.write_text(RULES % "dry-run")
    until("the policy is read", lambda: call("guest", "add", "a:=1", "b:=2") == "3")
    file.write_text("broken: [")
    until("it says so", lambda: any("cannot be used" in line for line in p.output))
    assert call("guest", "add", "a:=1", "b:=2") == "3"


def test_a_python_client_is_denied(start, opened, local, topic, pki, tmp_path):
    file = tmp_path / "policy.json"
    file.write_text(json.dumps({"rules": [{"from": "spiffe://cloud/agent/*", "delivery": "call"}]}))
    for kind, name in (("sync", "a"), ("go", "b")):
        start(kind, secured(local, pki, node="server", policy=str(file)), topic, name)
    for name in "ab":
        client = opened(secured(local, pki, node="guest")).client(oslorpc.Target(topic=topic, server=name))
        with pytest.raises(oslorpc.Error) as e:
            client.call({}, "add", a=1, b=2)
        assert (e.value.kind, e.value.safe_to_retry) == (Kind.ACCESS_DENIED, True)
        client = opened(secured(local, pki, node="agent")).client(oslorpc.Target(topic=topic, server=name))
        assert client.call({}, "add", a=1, b=2) == 3
        with pytest.raises(oslorpc.Error) as e:
            client.cast({}, "add", a=1, b=2)
        assert e.value.kind is Kind.ACCESS_DENIED


def test_a_server_does_not_start_with_a_policy_that_cannot_be_used(opened, local, tmp_path):
    for path in (tmp_path / "none", tmp_path):
        t = opened(f"{local}?policy={path}")
        with pytest.raises(oslorpc.Error) as e:
            t.server(oslorpc.Target(topic="t", server="s"), [object()]).start()
        assert e.value.kind is Kind.INVALID


def test_the_user_of_a_socket(opened, go, local, topic, tmp_path):
    import os

    file = tmp_path / "policy.json"
    file.write_text(json.dumps({"rules": [{"from": f"user:{os.geteuid()}", "topic": topic}]}))

    class Methods:
        def hello(self, ctxt):
            return "hello"

    t = opened(f"{local}?policy={file}")
    for name in (topic, topic + "x"):
        t.server(oslorpc.Target(topic=name, server="a"), [Methods()]).start()
    command = [go, "--transport", local, "call", topic, "hello"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == '"hello"'
    with pytest.raises(oslorpc.Error) as e:
        opened(local).client(oslorpc.Target(topic=topic + "x")).call({}, "hello")
    assert e.value.kind is Kind.ACCESS_DENIED
