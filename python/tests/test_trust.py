"""TLS between Go and Python, by the parameters of the URL and by the environment."""

import asyncio
import subprocess
import threading
import time
import urllib.parse

import pytest
from conftest import until

import oslorpc
from oslorpc import aio
from oslorpc.errors import Kind

PLAIN_NAMES = "DNS:localhost,IP:127.0.0.1"


def openssl(*arguments, cwd):
    subprocess.run(["openssl", *arguments], cwd=cwd, check=True, capture_output=True, timeout=60)


class Authority:
    """A directory with certificate authorities, and the certificates that they issue."""

    def __init__(self, directory):
        self.directory = directory
        for name in ("ca", "other"):
            openssl(
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}", cwd=directory,
            )  # fmt: skip

    def __truediv__(self, name):
        return self.directory / name

    def issue(self, name, names=PLAIN_NAMES, days="2", ca="ca"):
        """Write NAME.pem and NAME.key."""
        (self.directory / "ext").write_text(f"subjectAltName={names}\nextendedKeyUsage=serverAuth,clientAuth\n")
        openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", f"{name}.key.new", "-out", f"{name}.csr", "-subj", "/CN=node", cwd=self.directory,
        )  # fmt: skip
        openssl(
            "x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-CAcreateserial",
            "-days", days, "-extfile", "ext", "-out", f"{name}.pem.new", cwd=self.directory,
        )  # fmt: skip
        for kind in ("pem", "key"):
            (self.directory / f"{name}.{kind}.new").rename(self.directory / f"{name}.{kind}")


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """Two authorities, and a certificate that the first one issued."""
    made = Authority(tmp_path_factory.mktemp("pki"))
    made.issue("node")
    made.issue("expired", days="-1")
    made.issue("elsewhere", names="DNS:elsewhere.example")
    made.issue("stranger", ca="other")
    return made


def secured(url, pki, ca="ca.pem", node="node", **more):
    pair = f"&cert={pki / node}.pem&key={pki / node}.key" if node else ""
    others = "".join(f"&{name.replace('_', '-')}={urllib.parse.quote(value)}" for name, value in more.items())
    return f"{url}?ca={pki / ca}{pair}{others}"


@pytest.mark.parametrize("kind", ["go", "sync", "aio"])
def test_tls(opened, start, run, url, topic, pki, kind):
    start(kind, secured(url, pki), topic, "a")
    client = opened(secured(url, pki)).client(oslorpc.Target(topic=topic))
    assert client.call({}, "add", a=1, b=2) == 3
    assert client.prepare(server="a").call({}, "whoami")["server"] == "a"
    assert run(secured(url, pki), "call", topic, "add", "a:=1", "b:=2")[1] == "3"


def test_tls_by_the_environment(opened, start, local, topic, pki, monkeypatch):
    env = {
        "OSLORPC_CA": str(pki / "ca.pem"),
        "OSLORPC_CERT": str(pki / "node.pem"),
        "OSLORPC_KEY": str(pki / "node.key"),
    }
    start("go", local, topic, "a", env=env)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    client = opened(local).client(oslorpc.Target(topic=topic))
    assert client.call({}, "add", a=1, b=2) == 3
    until("the server is seen", lambda: client.fanout({}, "echo").accepted)


def test_plaintext_stays_within_the_machine(opened, local):
    class Methods:
        pass

    for options in ({"listen": "0.0.0.0:0", "advertise": "10.0.0.1"}, {"listen": "10.0.0.1:0"}):
        server = opened(local, **options).server(oslorpc.Target(topic="t", server="s"), [Methods()])
        with pytest.raises(oslorpc.Error) as e:
            server.start()
        assert e.value.kind is Kind.INVALID and "no TLS" in str(e.value)
    client = opened("static://t=10.0.0.1:1").client(oslorpc.Target(topic="t"), timeout=1)
    with pytest.raises(oslorpc.Error) as e:
        client.call({}, "x")
    assert (e.value.kind, e.value.safe_to_retry) == (Kind.INVALID, True)


def test_what_python_cannot_do_is_an_error(local, monkeypatch):
    monkeypatch.setenv("OSLORPC_IDENTITY", "dns:{server}")
    with pytest.raises(oslorpc.Error) as e:
        oslorpc.open(local)
    assert e.value.kind is Kind.INVALID


def fails(url, topic):
    """Check that a call fails with both APIs, and return the error."""
    found = []
    began = time.monotonic()
    with oslorpc.open(url) as t, pytest.raises(oslorpc.Error) as e:
        t.client(oslorpc.Target(topic=topic, server="a"), timeout=60).call({}, "add", a=1, b=2)
    found.append(e.value)

    async def call():
        async with aio.open(url) as t:
            await t.client(oslorpc.Target(topic=topic, server="a"), timeout=60).call({}, "add", a=1, b=2)

    with pytest.raises(oslorpc.Error) as e:
        asyncio.run(call())
    found.append(e.value)
    assert time.monotonic() - began < 40, "it waited for the deadline"
    assert all(e.safe_to_retry for e in found)
    return found


@pytest.mark.parametrize("kind", ["go", "sync"])
@pytest.mark.parametrize(
    ("server", "client", "says"),
    [
        ({}, {"ca": "other.pem"}, "no trusted authority"),
        ({"node": "expired"}, {}, "expired"),
        ({"node": "elsewhere"}, {}, "elsewhere.example"),
        ({}, {"node": ""}, "requires a certificate"),
        ({}, {"node": "stranger"}, "does not trust"),
        ({}, None, "requires TLS"),
        (None, {}, "does not speak TLS"),
    ],
    ids=["authority", "expired", "name", "no certificate", "stranger", "plaintext client", "plaintext server"],
)
def test_untrusted(start, local, topic, pki, kind, server, client, says):
    if kind == "go" and server == {"node": "expired"}:
        pytest.skip("a Go server refuses to start with it")
    listen = () if server is None else (secured(local, pki, **server),)
    start(kind, *(listen or (local,)), topic, "a")
    for e in fails(local if client is None else secured(local, pki, **client), topic):
        assert e.kind is Kind.UNTRUSTED and says in str(e), e


SPIFFE = "spiffe://example.org/topic/{topic}/server/{server}"
DNS = "dns:{server}.{topic}.example.org"


@pytest.mark.parametrize("template", [SPIFFE, DNS])
@pytest.mark.parametrize("kind", ["go", "sync"])
def test_servers_prove_their_names(start, run, local, topic, pki, template, kind):
    def named(server):
        name = template.format(topic=topic, server=server)
        return f"{PLAIN_NAMES},URI:{name}" if template is SPIFFE else f"{PLAIN_NAMES},DNS:{name[4:]},DNS:*.{name[6:]}"

    for server in "ab":
        pki.issue(f"{topic}-{server}", names=named(server))
    start(kind, secured(local, pki, node=f"{topic}-a"), topic, "a")
    url = secured(local, pki, identity=template)
    with oslorpc.open(url) as t:
        client = t.client(oslorpc.Target(topic=topic), timeout=30)
        assert client.call({}, "whoami")["server"] == "a"
        impostor = start(kind, secured(local, pki, node=f"{topic}-b"), topic, "c")
        with pytest.raises(oslorpc.Error) as e:
            client.prepare(server="c").call({}, "whoami")
        assert e.value.kind is Kind.UNTRUSTED and "must prove" in str(e.value) and "it proved" in str(e.value)
        assert {client.call({}, "whoami")["server"] for _ in range(6)} == {"a"}
        impostor.end()
    assert run(secured(local, pki, identity=template), "call", topic, "add", "a:=1", "b:=2")[1] == "3"


@pytest.mark.parametrize("name", ["identity=https://x", "identity=spiffe://x/{host}", "ca=/none", "ca={0}/node.key"])
def test_bad_settings_of_trust(pki, name):
    with pytest.raises(oslorpc.Error) as e:
        oslorpc.open("local:///tmp?" + name.replace("{0}", str(pki.directory)))
    assert e.value.kind is Kind.INVALID


@pytest.mark.parametrize("kind", ["go", "sync"])
def test_certificates_change_under_load(start, opened, local, topic, pki, kind):
    """Servers and clients use new certificates, finally from a new authority, and no call fails."""
    pki.issue("changing")
    both = pki / "both.pem"
    both.write_bytes((pki / "ca.pem").read_bytes())
    url = secured(local, pki, ca="both.pem", node="changing")
    start(kind, url, topic, "a")
    client = opened(url).client(oslorpc.Target(topic=topic), timeout=30)
    stop, failures, done = threading.Event(), [], []

    def call():
        while not stop.is_set():
            try:
                done.append(client.call({}, "add", a=1, b=2))
            except oslorpc.Error as e:
                failures.append(e)
            time.sleep(0.005)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    both.write_bytes((pki / "ca.pem").read_bytes() + (pki / "other.pem").read_bytes())
    time.sleep(2.5)
    before = client._transport._pool.all()[0]._channel
    pki.issue("changing", ca="other")
    until("the client has another connection", lambda: client._transport._pool.all()[0]._channel is not before)
    time.sleep(2.5)
    (pki / "changing.pem").write_text("broken")
    time.sleep(1.5)
    stop.set()
    for thread in threads:
        thread.join(30)
    assert not failures, failures[0]
    assert len(done) > 100
    both.write_bytes((pki / "other.pem").read_bytes())
    pki.issue("changing", ca="other")
    until("the old authority is not trusted any more", lambda: sees(secured(local, pki), topic) == "untrusted")
    assert sees(url, topic) == "served"


def sees(url, topic):
    with oslorpc.open(url) as t:
        try:
            t.client(oslorpc.Target(topic=topic), timeout=5).call({}, "add", a=1, b=2)
        except oslorpc.Error as e:
            return "untrusted" if e.kind is Kind.UNTRUSTED else str(e)
    return "served"


def verify(token):
    issuer, _, subject = token.partition(".")
    if issuer != "cloud":
        raise ValueError("it is not of the cloud")
    return f"{issuer}/{subject}"


class Methods:
    def hello(self, ctxt):
        return "hello"


def test_tokens(opened, go, local, topic, pki, tmp_path):
    """Clients in Go, and of both Python APIs, send tokens, and a server accepts only callers that
    it trusts.
    """
    policy, token = tmp_path / "policy.json", tmp_path / "token"
    policy.write_text('{"rules": [{"from": "token:cloud/*"}]}')
    serving = opened(secured(local, pki, policy=str(policy)), tokens=verify)
    serving.server(oslorpc.Target(topic=topic, server="a"), [Methods()]).start()
    url = secured(local, pki, node="", token_file=str(token))
    token.write_text("cloud.agent\n")
    client = opened(url).client(oslorpc.Target(topic=topic))
    assert client.call({}, "hello") == "hello"
    assert client.fanout({}, "hello").accepted
    own = opened(secured(local, pki, node=""), token=lambda: "cloud.other").client(oslorpc.Target(topic=topic))
    assert own.call({}, "hello") == "hello"

    async def awaited():
        async with aio.open(url) as t:
            return await t.client(oslorpc.Target(topic=topic)).call({}, "hello")

    assert asyncio.run(awaited()) == "hello"
    command = [go, "--transport", url, "call", topic, "hello"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == '"hello"'
    for wrong in (secured(local, pki, node=""), secured(local, pki)):
        with pytest.raises(oslorpc.Error) as e:
            opened(wrong).client(oslorpc.Target(topic=topic)).call({}, "hello")
        assert (e.value.kind, e.value.safe_to_retry) == (Kind.ACCESS_DENIED, True)
    token.write_text("elsewhere.agent")
    until("the token is read anew", lambda: denied(client))


def denied(client):
    try:
        client.call({}, "hello")
    except oslorpc.Error as e:
        return e.kind is Kind.ACCESS_DENIED and "not of the cloud" not in str(e)
    return False


def test_tokens_do_not_travel_in_clear(opened, tmp_path):
    token = tmp_path / "token"
    token.write_text("cloud.agent")
    serving = opened("static://other=127.0.0.1:1", listen="127.0.0.1:0")
    addr = serving.server(oslorpc.Target(topic="t", server="a"), [Methods()]).start().addr
    client = opened(f"static://t={addr}?token-file={token}").client(oslorpc.Target(topic="t"))
    with pytest.raises(oslorpc.Error) as e:
        client.call({}, "hello")
    assert e.value.kind is Kind.UNTRUSTED and "in clear" in str(e.value)
    assert client.fanout({}, "hello").failed[0].error.kind is Kind.UNTRUSTED
    verifying = opened("static://other=127.0.0.1:1", listen="127.0.0.1:0", tokens=verify)
    with pytest.raises(oslorpc.Error) as e:
        verifying.server(oslorpc.Target(topic="t", server="a"), [Methods()]).start()
    assert e.value.kind is Kind.INVALID
    for content in ("", "a b", "x" * 7000, "ü"):
        token.write_text(content)
        with pytest.raises(oslorpc.Error) as e:
            oslorpc.open(f"static://t={addr}?token-file={token}")
        assert e.value.kind is Kind.INVALID


def test_an_address_without_a_server_name_cannot_be_verified(opened, pki):
    url = secured("static://t=127.0.0.1:1", pki, identity=SPIFFE)
    with pytest.raises(oslorpc.Error) as e:
        opened(url).client(oslorpc.Target(topic="t")).call({}, "hello")
    assert e.value.kind is Kind.UNTRUSTED and "needs the server" in str(e.value)
