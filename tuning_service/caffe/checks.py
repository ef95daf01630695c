"""The one error of the runtime that its user can mend."""


class CheckFailed(Exception):
    """What training needs is not so: a file, a number, a layer. The message is one line for the user."""


def check(condition: object, message: str) -> None:
    """Raise `CheckFailed(message)` unless `condition` holds."""
    if not condition:
        raise CheckFailed(message)
