"""Bytes become lines, whatever the pieces they come in."""

from hypothesis import given
from hypothesis import strategies as st

from tuning_service.logs import LineSplitter

chunks = st.lists(st.binary(max_size=40) | st.sampled_from([b"\r", b"\n", b"a\rb", b"\r\n"]), max_size=20)


def split(parts, longest=1000):
    splitter = LineSplitter(longest)
    return [line for part in parts for line in splitter.feed(part)] + list(splitter.finish())


def expected(whole):
    """The lines of a log, each state of a progress bar with its carriage return."""
    lines = whole.split(b"\n")
    found = []
    for line in lines if lines[-1] else lines[:-1]:
        *states, last = line.rstrip(b"\r").split(b"\r")
        found += [state.decode(errors="replace") + "\r" for state in states if state]
        found.append(last.decode(errors="replace"))
    return found


@given(chunks)
def test_lines_are_the_same_however_the_bytes_arrive(parts):
    assert split(parts) == expected(b"".join(parts))


def test_long_line_is_cut_and_the_next_one_whole():
    assert split([b"x" * 700, b"x" * 700, b"\nnext\n"]) == ["x" * 1000, "next"]


def test_line_ends_of_terminals_are_line_ends():
    assert split([b"a\r\nb\r", b"\nc\r\r\n", b"\r\n"]) == ["a", "b", "c", ""]


def test_each_state_of_an_endless_progress_bar_comes_at_once():
    splitter = LineSplitter(100)
    states = [line for i in range(100) for line in splitter.feed(b"%3d%% loss=%d\r" % (i, i))]
    assert states == [f"{i:3d}% loss={i}\r" for i in range(99)]
    assert list(splitter.feed(b"100% loss=100\n")) == [" 99% loss=99\r", "100% loss=100"]


def test_memory_is_bounded_without_any_line_end():
    for piece in (b"x" * 1000, b"\r" * 1000, b"x" * 999 + b"\r"):
        splitter = LineSplitter(100)
        for _ in range(100):
            assert all(len(line) <= 101 for line in splitter.feed(piece))
        assert len(splitter._rest) <= 101
