"""The panel at the door, in Python, which controls all rooms.

Usage: panel.py show | set CELSIUS | frost | boost.
"""

import sys

from house import EXCEPTIONS, TooHot

import oslorpc


def show(house: oslorpc.Client) -> None:
    """Ask all rooms for their temperatures, and print them."""
    replies = sorted(house.gather({}, "temperature"), key=lambda reply: reply.server)
    print(", ".join(f"{reply.server} {reply.result}" for reply in replies))


def set_all(house: oslorpc.Client, celsius: int) -> None:
    """Set each room. If a room refuses, set it to its limit."""
    for room in ("attic", "cellar", "kitchen"):
        try:
            house.prepare(server=room).call({}, "set", celsius=celsius)
            print(f"{room}: {celsius}")
        except TooHot as e:  # the attribute and the text arrive from a room in any language
            house.prepare(server=room).call({}, "set", celsius=e.limit)
            print(f"{room}: {e.limit}, since {e}")


def frost(house: oslorpc.Client) -> None:
    """Set all rooms at once, without waiting until they have done it."""
    report = house.fanout({}, "set", celsius=5)
    print("accepted by", ", ".join(sorted(outcome.server for outcome in report.accepted)))


def boost(house: oslorpc.Client) -> None:
    """Call boost, which is new in 1.1, if all rooms have it: the version cap "auto" follows the
    fleet.
    """
    newest = house.prepare(version="1.1", version_cap="auto")
    if not newest.can_send_version():
        print("not all rooms can boost yet")
        return
    for reply in sorted(newest.gather({}, "boost", minutes=10), key=lambda reply: reply.server):
        print(reply.result)


USAGE = "usage: panel.py show | set CELSIUS | frost | boost"


def main(args: list[str]) -> None:
    """Execute the command in the arguments."""
    with oslorpc.open(exceptions=EXCEPTIONS) as transport:
        house = transport.client(oslorpc.Target(topic="house", version="1.0"))
        match args:
            case ["show"]:
                show(house)
            case ["set", degrees] if degrees.isdecimal():
                set_all(house, int(degrees))
            case ["frost"]:
                frost(house)
            case ["boost"]:
                boost(house)
            case _:
                sys.exit(USAGE)


if __name__ == "__main__":
    main(sys.argv[1:])
