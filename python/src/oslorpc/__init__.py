"""The RPC semantics of OpenStack's oslo.messaging on gRPC, without a message broker."""

from oslorpc.client import Client, Items
from oslorpc.context import RequestContext
from oslorpc.discovery.base import Instance
from oslorpc.endpoint import expose
from oslorpc.errors import Error, Kind, RemoteError, kind_of, safe_to_retry
from oslorpc.fanout import Outcome, Reply, Report
from oslorpc.server import Server
from oslorpc.target import Target
from oslorpc.transport import Transport, open
from oslorpc.versions import Implementation, Version

__all__ = [
    "Client",
    "Error",
    "Implementation",
    "Instance",
    "Items",
    "Kind",
    "Outcome",
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
