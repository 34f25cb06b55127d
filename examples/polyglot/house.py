"""The exception class that the Python programs of the house share."""


class TooHot(Exception):  # noqa: N818
    """A room refuses a temperature. All programs, in all languages, register this class as
    house.TooHot.
    """

    def __init__(self, room: str, limit: int) -> None:
        super().__init__(f"{room} is never set above {limit} degrees")
        self.limit = limit


EXCEPTIONS = {"house.TooHot": TooHot}
