"""The Pareto front: what is not worse in everything."""

from bisect import bisect_right
from collections.abc import Callable, Sequence

Losses = Sequence[float]


def front(points: Sequence[Losses]) -> list[int]:
    """Places of the points that no other dominates, by their first loss; of equal points all.

    All points have one to four finite losses, less is better. O(n log n) up to three losses; with four, n times the
    size of the front at worst.
    """
    if not points:
        return []
    order = sorted(range(len(points)), key=lambda place: (*points[place], place))
    is_dominated = _KEEPERS[len(points[0])]()
    kept: list[int] = []
    previous: Losses | None = None
    keep = False
    for place in order:
        point = points[place]
        # Whatever dominates a point comes before it, and equal points come side by side.
        if previous is None or tuple(point) != tuple(previous):
            keep = not is_dominated(point)
        if keep:
            kept.append(place)
        previous = point
    return kept


# Each makes a function that is given points in lexicographic order, without repeats: is one dominated by an earlier?


def _of_one() -> Callable[[Losses], bool]:
    least: list[float] = []

    def is_dominated(point: Losses) -> bool:
        if least:
            return True
        least.append(point[0])
        return False

    return is_dominated


def _of_two() -> Callable[[Losses], bool]:
    least = float("inf")

    def is_dominated(point: Losses) -> bool:
        nonlocal least
        if point[1] >= least:
            return True
        least = point[1]
        return False

    return is_dominated


def _of_three() -> Callable[[Losses], bool]:
    seconds: list[float] = []  # rising; the stairs of the second and third losses that are not dominated so far
    thirds: list[float] = []  # falling

    def is_dominated(point: Losses) -> bool:
        _, second, third = point
        place = bisect_right(seconds, second)
        if place and thirds[place - 1] <= third:
            return True
        if place and seconds[place - 1] == second:
            place -= 1
        end = place
        while end < len(thirds) and thirds[end] >= third:
            end += 1
        seconds[place:end] = [second]
        thirds[place:end] = [third]
        return False

    return is_dominated


def _of_four() -> Callable[[Losses], bool]:
    rest: list[Losses] = []  # the second to fourth losses that are not dominated so far

    def is_dominated(point: Losses) -> bool:
        _, b, c, d = point
        for place, (x, y, z) in enumerate(rest):
            if x <= b and y <= c and z <= d:
                # Who dominates one will dominate more: it is asked first the next time.
                rest[place], rest[0] = rest[0], rest[place]
                return True
        rest[:] = [other for other in rest if not (b <= other[0] and c <= other[1] and d <= other[2])]
        rest.append((b, c, d))
        return False

    return is_dominated


_KEEPERS: dict[int, Callable[[], Callable[[Losses], bool]]] = {1: _of_one, 2: _of_two, 3: _of_three, 4: _of_four}
