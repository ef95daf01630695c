"""The figures as pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.search_quality.report import is_ours, title

# Okabe and Ito's colours, told apart with any colour vision; the first two, the strongest, for ours.
_OURS = ("#0072B2", "#D55E00")
_PEERS = ("#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999", "#000000", "#B8A800")
_DASHES = ("--", "-.", ":")


def draw_all(figures: Mapping[str, Any], folder: Path) -> None:
    """PNGs in `folder`: regret and ranks for each number of workers, and time per suggestion."""
    for setting in figures["settings"]:
        workers = setting["workers"]
        draw_regret(setting, folder / f"search_quality_regret_{workers}.png")
        draw_ranks(setting, folder / f"search_quality_ranks_{workers}.png")
    if "timing" in figures:
        draw_timing(figures["timing"], folder / "search_quality_time.png")
    else:
        draw_seconds(figures["settings"][0], folder / "search_quality_time.png")


def _pyplot() -> Any:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    return plt


def styles(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """How each is drawn: ours solid and thick, the first of them in the strongest colour; `auto` goes first."""
    ours = sorted((n for n in names if is_ours(n)), key=lambda n: (n != "auto", n))
    peers = sorted(n for n in names if not is_ours(n))
    drawn = {}
    for i, name in enumerate(ours):
        colour = _OURS[i] if i < len(_OURS) else _PEERS[-i % len(_PEERS)]
        drawn[name] = {"color": colour, "linewidth": 2.6 if i == 0 else 1.8, "linestyle": "-", "zorder": 5 - min(i, 2)}
    for i, name in enumerate(peers):
        style = {
            "color": _PEERS[i % len(_PEERS)],
            "linewidth": 1.2,
            "linestyle": _DASHES[i % len(_DASHES)],
            "zorder": 2,
        }
        drawn[name] = style
    return drawn


def draw_regret(setting: Mapping[str, Any], path: Path) -> None:
    """Mean regret against evaluations, with the confidence band: a panel for each group of tasks."""
    plt = _pyplot()
    groups = setting["groups"]
    figure, panels = plt.subplots(1, len(groups), figsize=(5.2 * len(groups), 4.6), squeeze=False, sharey=True)
    for axes, (group, found) in zip(panels[0], groups.items(), strict=True):
        for name, style in styles(list(found["searchers"])).items():
            curve = found["searchers"][name]["curve"]
            x = np.arange(1, len(curve["mean"]) + 1)
            axes.plot(x, curve["mean"], label=title(name), **style)
            axes.fill_between(
                x, np.maximum(curve["low"], 1e-4), curve["high"], color=style["color"], alpha=0.12, linewidth=0
            )
        axes.set_yscale("log")
        axes.set_title(f"{group}: {len(found['tasks'])} tasks × {found['seeds']} seeds", fontsize=10)  # noqa: RUF001
        axes.set_xlabel("evaluations completed")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(visible=True, which="both", alpha=0.15)
    panels[0][0].set_ylabel("normalised regret (mean, 95 % interval)")
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=5, frameon=False, fontsize=9)
    figure.suptitle(f"{setting['workers']} simulated worker{'' if setting['workers'] == 1 else 's'}")
    figure.tight_layout(rect=(0, 0.03 + 0.05 * -(-len(labels) // 5), 1, 1))
    figure.savefig(path, dpi=130)
    plt.close(figure)


def draw_ranks(setting: Mapping[str, Any], path: Path) -> None:
    """Mean ranks on a line each for 25, 50 and 100 evaluations, best at the left, whiskers over the intervals."""
    plt = _pyplot()
    rows = setting["groups"]["all"]["searchers"]
    at = list(next(iter(rows.values()))["rank"])
    drawn = styles(list(rows))
    order = sorted(rows, key=lambda n: rows[n]["rank"][at[-1]]["mean"])
    size = (3.8 * len(at) + 1.5, 0.4 * len(rows) + 1.6)
    figure, panels = plt.subplots(1, len(at), figsize=size, squeeze=False, sharex=True, sharey=True)
    for axes, evaluations in zip(panels[0], at, strict=True):
        for row, name in enumerate(reversed(order)):
            rank = rows[name]["rank"][evaluations]
            spread = [[rank["mean"] - rank["low"]], [rank["high"] - rank["mean"]]]
            axes.errorbar(rank["mean"], row, xerr=spread, fmt="o", color=drawn[name]["color"], capsize=3, markersize=6)
            axes.annotate(
                f"{rank['mean']:.1f}", (rank["mean"], row), xytext=(0, 6), textcoords="offset points", fontsize=8
            )
        axes.set_title(f"after {evaluations} evaluations", fontsize=10)
        axes.set_xlabel("mean rank (1 is best)")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(visible=True, axis="x", alpha=0.2)
    panels[0][0].set_ylim(-0.6, len(order) - 0.2)
    panels[0][0].set_yticks(range(len(order)), [title(name) for name in reversed(order)])
    for label, name in zip(panels[0][0].get_yticklabels(), reversed(order), strict=True):
        label.set_fontweight("bold" if is_ours(name) else "normal")
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)


def draw_timing(timing: Mapping[str, Any], path: Path) -> None:
    """CPU seconds per suggestion against the trials behind it; a searcher's line ends where it became too slow."""
    lines = {
        name: [(int(n), item["cpu_s"]) for n, item in found.items() if "problem" not in item]
        for name, found in timing["searchers"].items()
    }
    _draw_lines({name: sorted(points) for name, points in lines.items() if points}, path, marker="o", x_log=True)


def draw_seconds(setting: Mapping[str, Any], path: Path) -> None:
    """The same within the cells' own evaluations, where nothing longer was measured."""
    lines = {name: list(enumerate(found["cpu"])) for name, found in setting["suggestion_s"].items()}
    _draw_lines(lines, path, marker="", x_log=False)


def _draw_lines(lines: Mapping[str, list[tuple[int, float]]], path: Path, *, marker: str, x_log: bool) -> None:
    plt = _pyplot()
    figure, axes = plt.subplots(figsize=(7.6, 4.6))
    for name, style in styles(list(lines)).items():
        axes.plot(*zip(*lines[name], strict=True), label=title(name), marker=marker, **style)
    if x_log:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
    axes.set_yscale("log")
    axes.set_xlabel("ended trials behind the suggestion")
    axes.set_ylabel("CPU seconds per suggestion (median)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, alpha=0.2)
    axes.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)
