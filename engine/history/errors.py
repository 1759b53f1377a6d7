"""What goes wrong when somebody asks."""

from engine.errors import VntapeError


class QueryError(VntapeError):
    """A question that cannot be answered as it was asked; the text says how to ask.

    Attributes
    ----------
    argument
        Which argument is wrong: ``text`` of `History.sql`, or one of `History.select`.
    """

    def __init__(self, argument: str, message: str) -> None:
        super().__init__(message)
        self.argument = argument
