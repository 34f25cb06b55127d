"""The asyncio API. It has the same names as the package's blocking API, and its methods are
awaited.
"""

from oslorpc.aio.client import Client
from oslorpc.aio.items import Items
from oslorpc.aio.transport import Server, Transport, open

__all__ = ["Client", "Items", "Server", "Transport", "open"]
