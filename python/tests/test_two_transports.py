"""A service on RabbitMQ and on oslorpc at once. Its clients move one by one, and back."""

import json
import shutil
import sys

import oslosupport
import pytest
import rabbitmq
from conftest import ROOT, Process

PROGRAM = ROOT / "python" / "examples" / "two_transports.py"


@pytest.fixture(scope="module")
def broker():
    if not (rabbitmq.PLACE / ".installed").exists():
        pytest.skip("RabbitMQ is unpacked from Debian's packages by `make test-python`, and is not there")
    with rabbitmq.broker() as url:
        yield url


@pytest.fixture(scope="module")
def declared():
    place = oslosupport.declare()
    yield place
    shutil.rmtree(place)


@pytest.fixture
def start(declared, broker, consul, tmp_path):
    running = []
    rabbit = f"transport_url = {broker}\n"
    ours = f"transport_url = oslorpc+{consul}/\n"
    both = f"[oslo_messaging_oslorpc]\nsecond_transport_url = {broker}\n"
    steps = {
        "rabbit": rabbit,
        "both, sends by rabbit": ours + both + "send_by = second\n",
        "both": ours + both,
        "oslorpc": ours,
    }

    def begin(what, name, step):
        config = tmp_path / f"{what}-{name}.conf"
        config.write_text("[DEFAULT]\n" + steps[step])
        command = [sys.executable, "-W", "ignore", PROGRAM, what, name, "--config-file", config]
        p = Process(*map(str, command), env=oslosupport.environment(declared))
        running.append(p)
        p.await_line("ready" if what == "server" else "calls")
        return p

    yield begin
    for p in running:
        p.end(9)


@pytest.mark.long
def test_clients_move_one_by_one_and_back_and_no_call_is_lost(start, run, consul):
    start("server", "s1", "both, sends by rabbit")
    names = ["c1", "c2", "c3"]
    clients = {name: [start("client", name + ".0", "rabbit")] for name in names}
    moves = ["both, sends by rabbit", "both", "oslorpc", "both", "rabbit"]
    made = {}
    for n, step in enumerate(moves):
        for name in names:
            leaving = clients[name][-1]
            assert leaving.end() == 0, leaving.output
            made[f"{name}.{n}"] = int(leaving.output[-1].removeprefix("made "))
            clients[name].append(start("client", f"{name}.{n + 1}", step))
    for name in names:
        assert clients[name][-1].end() == 0
        made[f"{name}.{len(moves)}"] = int(clients[name][-1].output[-1].removeprefix("made "))

    code, out, err = run(consul, "call", "accounts", "list")
    assert code == 0, err
    ran = json.loads(out)
    assert ran == {client: list(range(n)) for client, n in made.items()}
    assert min(made.values()) >= 50
    code, out, err = run(consul, "info", "accounts", "--output", "json")
    assert code == 0, err
    (endpoint,) = json.loads(out)[0]["servers"][0]["endpoints"]
    (add,) = [m for m in endpoint["methods"] if m["name"] == "add"]
    ours = [n for n, step in enumerate(["rabbit", *moves]) if step in ("both", "oslorpc")]
    assert add["started"] == sum(made[f"{name}.{n}"] for name in names for n in ours)


def test_a_service_may_not_send_by_what_it_does_not_name(declared, tmp_path):
    config = tmp_path / "bad.conf"
    config.write_text("[DEFAULT]\ntransport_url = oslorpc+local:///x\n[oslo_messaging_oslorpc]\nsend_by = second\n")
    p = Process(
        sys.executable,
        str(PROGRAM),
        "client",
        "c",
        "--config-file",
        str(config),
        env=oslosupport.environment(declared),
    )
    assert p.process.wait(60) != 0
    p.end()
    assert "send_by = second needs second_transport_url" in "\n".join(p.output)
