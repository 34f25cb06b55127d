"""A server with one method.

It ends at SIGINT or SIGTERM, after it has finished what it accepted.
"""

import oslorpc


class Hello:
    """An endpoint: its public methods can be asked for."""

    target = oslorpc.Target(version="1.0")

    def greet(self, ctxt: oslorpc.RequestContext, name: str) -> str:
        """Greet a caller. The arguments are given by name."""
        return f"hello {name}"


if __name__ == "__main__":
    with oslorpc.open() as transport:  # $OSLORPC_TRANSPORT_URL, or local://
        server = transport.server(oslorpc.Target(topic="hello", server="node1"), [Hello()])
        server.run(lambda instance: print("ready at", instance.addr, flush=True))
