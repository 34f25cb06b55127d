"""A server with one method.

At SIGINT or SIGTERM, it finishes the accepted messages and ends.
"""

import oslorpc


class Hello:
    """An endpoint: clients can call its public methods."""

    target = oslorpc.Target(version="1.0")

    def greet(self, ctxt: oslorpc.RequestContext, name: str) -> str:
        """Greet a caller. Clients pass arguments by name."""
        return f"hello {name}"


if __name__ == "__main__":
    with oslorpc.open() as transport:  # $OSLORPC_TRANSPORT_URL, or local://
        server = transport.server(oslorpc.Target(topic="hello", server="node1"), [Hello()])
        server.run(lambda instance: print("ready at", instance.addr, flush=True))
