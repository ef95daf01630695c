"""Texts: of strangers, some of which no database stores and no program can be given; and for people."""


def is_storable(text: str) -> bool:
    """False with NUL or half of a surrogate pair in it."""
    return storable(text) == text


def storable(text: str) -> str:
    """`text` without NUL, and with ? for halves of surrogate pairs."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def counted(number: float, noun: str) -> str:
    """As people write it: 1 trial, 1,200 trials, 0.5 GPUs."""
    shown = f"{int(number):,}" if number == int(number) else f"{number:g}"
    return f"{shown} {noun}{'' if number == 1 else 's'}"
