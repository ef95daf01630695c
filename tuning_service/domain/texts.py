"""Texts of strangers: what no database stores, and no program can be given."""


def is_storable(text: str) -> bool:
    """False with NUL or half of a surrogate pair in it."""
    return storable(text) == text


def storable(text: str) -> str:
    """`text` without NUL, and with ? for halves of surrogate pairs."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()
