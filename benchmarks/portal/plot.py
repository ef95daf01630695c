"""The figures as a picture: how soon pages are of use, and what they move."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

_COLOURS = {"ours": "#1f6feb", "peer": "#9aa4b2"}
_TITLES = {"jobs": "list", "job": "job or study", "trial": "one trial"}


def draw(results: Mapping[str, Any], path: Path) -> None:
    """`path` holds a PNG: a bar for each page and service on log scales, with the portal's bar to be met as a line."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    rows = _rows(results)
    figure, panels = plt.subplots(1, 2, figsize=(10.0, 0.42 * len(rows) + 1.4), sharey=True)
    wanted = (("useful_ms", 1e-3, "seconds until of use", 1.0), ("bytes", 1e-6, "MB moved", 2.0))
    for axes, (name, scale, label, bar) in zip(panels, wanted, strict=True):
        for place, (_, colour, figures) in enumerate(rows):
            value = figures[name] * scale if figures["useful_ms"] is not None else None
            late = value is None
            width = figures["limit_s"] if late and name == "useful_ms" else value or 0
            axes.barh(place, width, color=colour, alpha=0.35 if late else 1.0)
            text = f" not within {figures['limit_s']:g} s" if late else f" {value:.2g}"
            axes.annotate(text, (max(width, bar / 100), place), va="center", fontsize=8)
        axes.axvline(bar, color="#d1242f", linewidth=1, linestyle="--")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlabel(f"{label} (dashed: the portal's bar)")
        axes.margins(x=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_yticks(range(len(rows)), [title for title, _, _ in rows])
    panels[0].invert_yaxis()
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _rows(results: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    seed, found = results["seed"], []
    for page, title in _TITLES.items():
        if "ours" in results:
            size = f"{seed['jobs']:,} jobs" if page == "jobs" else f"{seed['trials']:,} trials of {seed['points']:,}"
            found.append((f"{title}, {size}: portal", _COLOURS["ours"], results["ours"]["pages"][page]))
        for run in results.get("optuna-dashboard", ()):
            size = f"{seed['peer_studies']:,} studies"
            size = size if page == "jobs" else f"{seed['trials']:,} trials of {run['points']:,}"
            found.append((f"{title}, {size}: optuna-dashboard", _COLOURS["peer"], run["pages"][page]))
    return found
