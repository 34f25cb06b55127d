"""The line protocol of `make interop`:

JSON values, one on each line. internal/interop/wire describes it.
"""

import json
import os
import threading
from typing import Any

_writing = threading.Lock()


def write(value: dict[str, Any]) -> None:
    """Write a value to the standard output, as one line."""
    line = (json.dumps(value) + "\n").encode()
    with _writing:
        while line:
            line = line[os.write(1, line) :]


def event(name: str, note: str = "") -> None:
    """Report an event of a server."""
    write({"event": name, "note": note})


def arguments(request: dict[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments of a request."""
    args: dict[str, Any] = request.get("args") or {}
    if request.get("fill"):
        args["text"] = "x" * request["fill"]
    return args
