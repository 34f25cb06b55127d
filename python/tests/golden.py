"""Reads proto/testdata, by which the implementations agree."""

import json
import pathlib
from typing import Any

DIRECTORY = pathlib.Path(__file__).parents[2] / "proto" / "testdata"


def load(file: str, section: str) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads((DIRECTORY / file).read_text())[section]
    assert cases
    return cases


def name(case: dict[str, Any]) -> str:
    return str(case.get("case", ""))
