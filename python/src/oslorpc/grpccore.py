"""grpcio's core, which is not a public interface. It is used only in versions that were tried."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable
from typing import Any

import grpc

core: Any = None
with contextlib.suppress(ImportError):  # a later grpcio may lack it
    core = importlib.import_module("grpc._cython.cygrpc")

_TRIED = range(73, 86)  # the minor versions of grpcio 1 with which the core may be used: no newer one was tried
_STATES: dict[Any, grpc.ChannelConnectivity] = {state.value[0]: state for state in grpc.ChannelConnectivity}


def available(*names: str) -> bool:
    """Whether the installed grpcio was tried, and its core has these names."""
    major, minor = grpc.__version__.split(".")[:2]
    tried = major == "1" and minor.isdigit() and int(minor) in _TRIED
    return tried and all(hasattr(core, name) for name in names)


def state_of(channel: grpc.Channel) -> Callable[[], grpc.ChannelConnectivity | None] | None:
    """Make a channel connect, and return a function that returns its state.

    The function returns None if the channel is closed. Without a core that was tried, return None.
    """
    ask = getattr(getattr(channel, "_channel", None), "check_connectivity_state", None)
    if ask is None or not available():
        return None

    def state() -> grpc.ChannelConnectivity | None:
        try:
            return _STATES.get(ask(False))
        except ValueError:
            return None

    with contextlib.suppress(ValueError):
        ask(True)
    return state
