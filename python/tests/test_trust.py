"""TLS between Go and Python, by the parameters of the URL and by the environment."""

import subprocess

import pytest
from conftest import until

import oslorpc
from oslorpc.errors import Kind

EXTENSIONS = "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n"


def openssl(*arguments, cwd):
    subprocess.run(["openssl", *arguments], cwd=cwd, check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """A certificate authority, a certificate of it, and another authority."""
    directory = tmp_path_factory.mktemp("pki")
    for name in ("ca", "other"):
        openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}", cwd=directory,
        )  # fmt: skip
    (directory / "ext").write_text(EXTENSIONS)
    openssl(
        "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-keyout", "node.key", "-out", "node.csr", "-subj", "/CN=node", cwd=directory,
    )  # fmt: skip
    openssl(
        "x509", "-req", "-in", "node.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
        "-extfile", "ext", "-out", "node.pem", cwd=directory,
    )  # fmt: skip
    return directory


def secured(url, pki, ca="ca.pem"):
    return f"{url}?ca={pki / ca}&cert={pki / 'node.pem'}&key={pki / 'node.key'}"


@pytest.mark.parametrize("kind", ["go", "sync", "aio"])
def test_tls(opened, start, run, url, topic, pki, kind):
    start(kind, secured(url, pki), topic, "a")
    client = opened(secured(url, pki)).client(oslorpc.Target(topic=topic))
    assert client.call({}, "add", a=1, b=2) == 3
    assert client.prepare(server="a").call({}, "whoami")["server"] == "a"
    assert run(secured(url, pki), "call", topic, "add", "a:=1", "b:=2")[1] == "3"
    for wrong in (url, secured(url, pki, ca="other.pem")):
        with pytest.raises(oslorpc.Error) as e:
            opened(wrong).client(oslorpc.Target(topic=topic), timeout=1).call({}, "add", a=1, b=2)
        assert e.value.safe_to_retry and e.value.kind in (Kind.UNREACHABLE, Kind.UNTRUSTED), e.value


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
