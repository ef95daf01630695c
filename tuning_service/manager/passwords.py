"""Passwords: argon2id, slow by design, and so with few at a time."""

import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager

import argon2

from tuning_service.domain.errors import FieldProblem, InvalidRequest, TryAgain

SHORTEST, LONGEST = 10, 512  # characters
# Each takes 64 MiB and up to four threads for about a tenth of a second.
PARALLEL = 2
_PATIENCE_S = 10.0

_hasher = argon2.PasswordHasher()  # the library's defaults, those of RFC 9106 for little memory
# Of 32 random bytes that nobody kept, made with the same parameters.
_NOBODYS = "$argon2id$v=19$m=65536,t=3,p=4$RVrC7ONxlk4KTTcZqJ0fYg$dWKvv4Deui1lEwwhstMOvO6qY2ofFA2jaqcZcmd3GKk"
_room = threading.BoundedSemaphore(PARALLEL)


def check_password(field: str, password: str) -> None:
    """Return quietly when this may become a password. Raises InvalidRequest, which does not quote it."""
    if SHORTEST <= len(password) <= LONGEST:
        return
    message = f"has {len(password)} characters."
    remedy = f"Choose a password of {SHORTEST} to {LONGEST} characters."
    raise InvalidRequest(FieldProblem(field=field, message=message, remedy=remedy))


def hashed(password: str) -> str:
    """The password as it is stored. Raises TryAgain when many others are waiting."""
    with _turn():
        return _hasher.hash(_normal(password))


def matches(stored: str | None, password: str) -> bool:
    """Whether that is the password. Without a stored one it never is, and takes as long to say. Raises TryAgain."""
    with _turn():
        try:
            return _hasher.verify(stored or _NOBODYS, _normal(password)) and stored is not None
        except argon2.exceptions.VerifyMismatchError:
            return False


@contextmanager
def _turn() -> Iterator[None]:
    if not _room.acquire(timeout=_PATIENCE_S):
        raise TryAgain("Too many people are signing in at the moment.", retry_after_s=_PATIENCE_S)
    try:
        yield
    finally:
        _room.release()


def _normal(password: str) -> bytes:
    """One keyboard writes é as one character, another as two."""
    return unicodedata.normalize("NFC", password[: LONGEST + 1]).encode("utf-8", "surrogatepass")
