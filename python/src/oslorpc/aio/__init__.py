"""The asyncio API: the same as the package's API, with methods to await."""

from oslorpc.aio.client import Client
from oslorpc.aio.items import Items
from oslorpc.aio.transport import Server, Transport, open

__all__ = ["Client", "Items", "Server", "Transport", "open"]
