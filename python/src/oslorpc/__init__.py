"""The RPC semantics of OpenStack's oslo.messaging on gRPC, without a message broker.

The parts of the package are loaded on first use, so that a process that eventlet has patched can
import the driver of oslo.messaging without gRPC.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oslorpc.client import Client, Items
    from oslorpc.context import RequestContext
    from oslorpc.discovery.base import Instance
    from oslorpc.endpoint import expose
    from oslorpc.errors import Error, Kind, RemoteError, kind_of, safe_to_retry
    from oslorpc.fanout import Outcome, Reply, Report
    from oslorpc.interceptor import Interceptor, Message, Peer
    from oslorpc.server import Server
    from oslorpc.target import Target
    from oslorpc.transport import Transport, open
    from oslorpc.versions import Implementation, Version

__all__ = [
    "Client",
    "Error",
    "Implementation",
    "Instance",
    "Interceptor",
    "Items",
    "Kind",
    "Message",
    "Outcome",
    "Peer",
    "RemoteError",
    "Reply",
    "Report",
    "RequestContext",
    "Server",
    "Target",
    "Transport",
    "Version",
    "expose",
    "kind_of",
    "open",
    "safe_to_retry",
]

_MODULES = {
    "oslorpc.client": ("Client", "Items"),
    "oslorpc.context": ("RequestContext",),
    "oslorpc.discovery.base": ("Instance",),
    "oslorpc.endpoint": ("expose",),
    "oslorpc.errors": ("Error", "Kind", "RemoteError", "kind_of", "safe_to_retry"),
    "oslorpc.fanout": ("Outcome", "Reply", "Report"),
    "oslorpc.interceptor": ("Interceptor", "Message", "Peer"),
    "oslorpc.server": ("Server",),
    "oslorpc.target": ("Target",),
    "oslorpc.transport": ("Transport", "open"),
    "oslorpc.versions": ("Implementation", "Version"),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            found = globals()[name] = getattr(importlib.import_module(module), name)
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
