"""Calls the server of hello_server.py, in Python or in Go."""

import oslorpc

if __name__ == "__main__":
    with oslorpc.open() as transport:
        client = transport.client(oslorpc.Target(topic="hello", version="1.0"))
        try:
            print(client.call({}, "greet", name="you"))
            for outcome in client.fanout({}, "greet", name="all").outcomes:
                print(outcome.server, "accepted" if outcome.error is None else outcome.error)
        except oslorpc.Error as e:
            print(e.kind, e.safe_to_retry, e)
