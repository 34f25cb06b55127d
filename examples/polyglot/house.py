"""What the Python programs of the house know of each other."""


class TooHot(Exception):  # noqa: N818
    """All programs, in all languages, register it as house.TooHot."""

    def __init__(self, room: str, limit: int) -> None:
        super().__init__(f"{room} is never set above {limit} degrees")
        self.limit = limit


EXCEPTIONS = {"house.TooHot": TooHot}
