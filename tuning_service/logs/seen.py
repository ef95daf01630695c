"""A bounded memory of a log, and the explanation made of it when a metric was not found."""

import difflib
import re
from collections import deque
from collections.abc import Iterator, Sequence

from tuning_service.logs.marks import squash

_NAMES = 200
_SHOWN_NAMES = 20
_LINE = 160
_NEAR = 3  # lines kept from the beginning, and as many from the end
_LAST = 5


class _Near:
    """Lines that mention the words of one metric's name: some from the beginning, some from the end."""

    def __init__(self, metric: str) -> None:
        words = sorted((w for w in re.split(r"[\W_]+", metric.lower()) if len(w) > 2), key=len, reverse=True)
        self._words = tuple(words[:2]) or (metric.lower(),)
        self._first: list[str] = []
        self._latest: deque[str] = deque(maxlen=_NEAR)

    def line(self, text: str, low: str) -> None:
        """Remember a line, `low` in lower case, when it comes near."""
        if any(word in low for word in self._words):
            if len(self._first) < _NEAR:
                self._first.append(text[: _LINE * 2])
            else:
                self._latest.append(text[: _LINE * 2])

    def __iter__(self) -> Iterator[str]:
        yield from self._first
        yield from self._latest


class Seen:
    """What a log held: names of metrics, lines that mention the words of those that are wanted, the last lines."""

    def __init__(self, metrics: Sequence[str]) -> None:
        self._near = {metric: _Near(metric) for metric in metrics}
        self._names: dict[str, int] = {}
        self._samples: dict[str, str] = {}
        self._more_names = False
        self._last: deque[str] = deque(maxlen=_LAST)
        self._lines = 0

    def line(self, text: str) -> None:
        """Remember a line."""
        if not text.strip():
            return
        self._lines += 1
        self._last.append(text)
        low = text.lower()
        for near in self._near.values():
            near.line(text, low)

    def metric(self, name: str, line: str) -> None:
        """Remember that `line` gave a value of `name`."""
        if name in self._names:
            self._names[name] += 1
        elif len(self._names) < _NAMES:
            self._names[name] = 1
            self._samples[name] = line[:_LINE]
        else:
            self._more_names = True

    def explain(self, metric: str) -> str:
        """See `LogParser.explain`."""
        if self._names.get(metric):
            return f"{metric} was read {self._names[metric]} times."
        if not self._lines:
            return f"The program printed nothing, so there was no {metric} to read.\n{_remedy(metric)}"
        parts = [f"No line of the output gave a value of {metric}."]
        alike = self._alike(metric)
        if alike:
            parts.append("Metrics with a similar name:")
            parts += [f"  {name}, as in: {self._samples[name]}" for name in alike]
        if self._names:
            shown = [f"{name} ({count} x)" for name, count in list(self._names.items())[:_SHOWN_NAMES]]
            more = " and more" if self._more_names or len(self._names) > _SHOWN_NAMES else ""
            parts.append(f"Metrics that were read: {', '.join(shown)}{more}.")
        else:
            parts.append("No metric at all was read.")
        near = [line for line in self._near.get(metric, ()) if line[:_LINE] not in self._samples.values()]
        if near:
            parts.append("Lines that come near:")
            parts += [f"  {_cut(line)}" for line in near]
        else:
            parts.append("The last lines of the output:")
            parts += [f"  {_cut(line)}" for line in self._last]
        if alike:
            where = "objective.metric, or where else the job file names it"
            parts.append(f"If {alike[0]} is what you mean, write that instead of {metric}: {where}.")
        parts.append(_remedy(metric))
        return "\n".join(parts)

    def _alike(self, metric: str) -> list[str]:
        wanted = squash(metric)
        close = difflib.get_close_matches(wanted, [squash(name) for name in self._names], n=3, cutoff=0.6)
        contained = [
            name for name in self._names if len(squash(name)) > 2 and (squash(name) in wanted or wanted in squash(name))
        ]
        return list(dict.fromkeys([name for name in self._names if squash(name) in close] + contained))[:3]


def _remedy(metric: str) -> str:
    variable = re.sub(r"\W", "_", metric)
    json_line = f'print(json.dumps({{"{metric}": {variable}}}))'
    return (
        f'To report it, print(f"{metric}={{{variable}}}", flush=True) or {json_line}, '
        "or describe your own format in log_patterns."
    )


def _cut(line: str) -> str:
    return line if len(line) <= _LINE else line[: _LINE - 1] + "…"
