"""Three servers and a client, with asyncio, in one program."""

import asyncio

import oslorpc
from oslorpc import aio


class Agent:
    """The endpoint of each server, in the namespace agents."""

    target = oslorpc.Target(namespace="agents", version="1.3")

    def __init__(self, name: str) -> None:
        self.name = name

    async def state(self, ctxt: oslorpc.RequestContext) -> dict[str, str]:
        """Return the name of the server, and the user in the request context."""
        return {"server": self.name, "asked by": ctxt.get("user", "unknown")}

    async def count(self, ctxt: oslorpc.RequestContext, n: int):
        """Stream the integers from 1 to n."""
        for i in range(1, n + 1):
            yield i


async def main() -> None:
    """Start the servers, and ask them."""
    async with aio.open() as transport:
        for name in ("node1", "node2", "node3"):
            await transport.server(oslorpc.Target(topic="agents", server=name), [Agent(name)]).start()
        client = transport.client(oslorpc.Target(topic="agents", namespace="agents", version="1.2"))
        ctxt = {"user": "alice"}
        print("any one: ", await client.call(ctxt, "state"))
        print("this one:", await client.prepare(server="node2").call(ctxt, "state"))
        async for reply in client.gather(ctxt, "state"):
            print("each:    ", reply.server, reply.error or reply.result)
        async for item in await client.multicall(ctxt, "count", n=3):
            print("stream:  ", item)
        auto = client.prepare(version_cap="auto")
        print("1.3 can be sent:", await auto.can_send_version("1.3"), "- 1.4:", await auto.can_send_version("1.4"))


if __name__ == "__main__":
    asyncio.run(main())
