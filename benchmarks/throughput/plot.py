"""The summaries as a picture."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.throughput.contender import CONTENDERS
from benchmarks.throughput.report import Summary


def draw(summaries: Sequence[Summary], path: Path) -> None:
    """`path` holds a PNG: a bar for each median rate on a log scale, with a whisker over the range of the runs."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    slowest_first = list(reversed(summaries))
    names = [CONTENDERS[s.contender].title for s in slowest_first]
    rates = [s.rate for s in slowest_first]
    spread = [[s.rate - s.rate_low for s in slowest_first], [s.rate_high - s.rate for s in slowest_first]]
    colours = ["#1f6feb" if s.contender == "ours" else "#9aa4b2" for s in slowest_first]
    figure, axes = plt.subplots(figsize=(8.0, 0.6 * len(names) + 1.2))
    axes.barh(names, rates, xerr=spread, color=colours, capsize=4)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("no-op trials per second: median, and range of the runs (log scale)")
    for row, summary in enumerate(slowest_first):
        axes.annotate(
            f" {summary.rate:.2g}", (summary.rate_high, row), xytext=(6, 0), textcoords="offset points", va="center"
        )
    axes.margins(x=0.15)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    plt.close(figure)
