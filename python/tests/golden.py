"""Reads the golden files in proto/testdata, which the implementations in all languages are tested
with.
"""

import json
import math
import pathlib
from typing import Any

import oslorpc

DIRECTORY = pathlib.Path(__file__).parents[2] / "proto" / "testdata"


def load(file: str, section: str) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads((DIRECTORY / file).read_text())[section]
    assert cases
    return cases


def name(case: dict[str, Any]) -> str:
    return str(case.get("case", ""))


class GoldenServer:
    """The interface that the requests in requests.json and badinput.json are for."""

    target = oslorpc.Target(version="1.2")

    def add(self, ctxt, a: int, b: int):
        return a + b

    def echo(self, ctxt, **kwargs):
        return kwargs

    def fail(self, ctxt):
        raise ValueError("broken")

    def unsendable(self, ctxt):
        return {"x": [math.nan]}

    def count(self, ctxt, n: int):
        yield from range(1, n + 1)


class OtherServer:
    """Another interface of the same server."""

    target = oslorpc.Target(namespace="other", version="2.0")

    def whoami(self, ctxt):
        return "node1"
