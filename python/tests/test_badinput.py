"""Messages of proto/testdata that cannot be delivered. Their errors have the same kinds as Go's,
and texts that help as much.
"""

import asyncio
import math

import golden
import pytest
from golden import GoldenServer, OtherServer

import oslorpc
from oslorpc import aio

CYCLE: list = []
CYCLE.append(CYCLE)
SPECIAL = {
    "nan": math.nan,
    "infinity": math.inf,
    "not unicode": "a\ud800",
    "function": print,
    "cycle": CYCLE,
    "bytes": b"x",
    "integer key": {1: 2},
    "tuple key": {(1, 2): 3},
    "17 MiB": "x" * (17 << 20),
}
CASES = [c for c in golden.load("badinput.json", "calls") if "python" in c.get("only", ["python"])]


@pytest.fixture(scope="module")
def url():
    with oslorpc.open("static://other=127.0.0.1:1", listen="127.0.0.1:0") as t:
        server = t.server(oslorpc.Target(topic="golden", server="node1"), [GoldenServer(), OtherServer()])
        addr = server.start().addr
        yield f"static://golden={addr},golden/node1={addr}"


def special(value):
    if isinstance(value, dict):
        return SPECIAL[value["$special"]] if "$special" in value else {k: special(v) for k, v in value.items()}
    return [special(v) for v in value] if isinstance(value, list) else value


def check(case, error):
    e = error.value
    assert (e.kind, e.safe_to_retry) == (case["kind"], case["safe"]), e
    assert case["path"] in ("*", e.path), e
    for text in case["says"]:
        assert text in str(e)
    assert len(str(e)) < 2000


@pytest.mark.parametrize("case", CASES, ids=golden.name)
def test_bad_input(url, case):
    args = special(case["args"])
    with pytest.raises(oslorpc.Error) as e, oslorpc.open(url) as t:
        client = t.client(oslorpc.Target(topic="golden")).prepare(timeout=20, **case["target"], **case["options"])
        result = getattr(client, case["rpc"])({}, case["method"], **args)
        list(result if case["rpc"] == "multicall" else ())
    check(case, e)


@pytest.mark.parametrize("case", CASES, ids=golden.name)
def test_bad_input_of_asyncio(url, case):
    args = special(case["args"])

    async def send():
        async with aio.open(url) as t:
            client = t.client(oslorpc.Target(topic="golden")).prepare(timeout=20, **case["target"], **case["options"])
            result = await getattr(client, case["rpc"])({}, case["method"], **args)
            if case["rpc"] == "multicall":
                async for _ in result:
                    pass

    with pytest.raises(oslorpc.Error) as e:
        asyncio.run(send())
    check(case, e)


def test_there_are_enough_cases():
    assert len(CASES) >= 40
