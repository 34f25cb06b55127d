"""The attic's thermostat, in Python. It serves the interface at version 1.1, or with --version 1.0
as an older release would.
"""

import sys

from house import EXCEPTIONS, TooHot

import oslorpc

LIMIT = 25


class Thermostat:
    """The interface at 1.0."""

    target = oslorpc.Target(version="1.0")

    def __init__(self) -> None:
        self.celsius = 18

    def temperature(self, ctxt: oslorpc.RequestContext) -> int:
        """Return the temperature."""
        return self.celsius

    @oslorpc.expose("set", expected=(TooHot,))
    def set(self, ctxt: oslorpc.RequestContext, celsius: int) -> None:
        """Set the temperature."""
        if celsius > LIMIT:
            raise TooHot("the attic", LIMIT)
        self.celsius = celsius


class Boosting(Thermostat):
    """The interface at 1.1, which adds the method boost."""

    target = oslorpc.Target(version="1.1")

    def boost(self, ctxt: oslorpc.RequestContext, minutes: int) -> str:
        """Heat for some minutes."""
        return f"the attic heats for {minutes} minutes"


def main() -> None:
    """Serve until SIGTERM."""
    match sys.argv[1:]:
        case ["--version", "1.0"]:
            thermostat = Thermostat()
        case []:
            thermostat = Boosting()
        case _:
            sys.exit("usage: attic.py [--version 1.0]")
    with oslorpc.open(exceptions=EXCEPTIONS) as transport:  # $OSLORPC_TRANSPORT_URL, or local://
        server = transport.server(oslorpc.Target(topic="house", server="attic"), [thermostat])
        server.run(lambda _: print("the attic, in Python, is at", thermostat.target.version, flush=True))


if __name__ == "__main__":
    main()
