"""Addresses of the pages that are measured, and how to tell that what a reader came for is there: ours and the peer's.

Everything that depends on how pages are built stands here. A condition is a JavaScript expression.
"""

from dataclasses import dataclass

# Plotly has drawn something: lines and points as SVG, or on a canvas.
_DRAWN = "document.querySelector('.js-plotly-plot .trace, .js-plotly-plot .gl-canvas, .js-plotly-plot .parcoords')"


_STUDIES = "document.querySelectorAll('a[href*=\"/studies/\"]').length >= 5"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A page. `useful`: its text or table is there; `drawn`: its first chart is, "" where it has none."""

    name: str
    path: str
    useful: str
    drawn: str = ""


def shows(value: float) -> str:
    """True when our page shows this value: it keeps exact values beside rounded ones."""
    return f"document.querySelector('data[value=\"{value!r}\"]')"


def ours(job: str, trial: int, best: float, trial_value: float) -> list[Target]:
    """The portal's pages for a job whose best value is `best`, and for one trial of it."""
    return [
        Target(name="jobs", path="/jobs", useful="document.querySelectorAll('#jobs tbody tr').length >= 50"),
        Target(name="job", path=f"/jobs/{job}", useful=shows(best), drawn=_DRAWN),
        Target(name="trial", path=f"/jobs/{job}/trials/{trial}", useful=shows(trial_value), drawn=_DRAWN),
    ]


def optuna_dashboard(study: int, trial: int) -> list[Target]:
    """optuna-dashboard's: list of studies, a study's graphs (which show the best value), one trial."""
    return [
        Target(name="jobs", path="/dashboard/", useful=_STUDIES),
        Target(name="job", path=f"/dashboard/studies/{study}", useful=_DRAWN, drawn=_DRAWN),
        Target(
            name="trial",
            path=f"/dashboard/studies/{study}/trials?numbers={trial}",
            useful=f"[...document.querySelectorAll('h4')].some((e) => e.textContent.startsWith('Trial {trial} '))",
        ),
    ]


def peer_shows(trials: int) -> str:
    """True when the peer's history graph has so many trials."""
    return f"document.querySelector('#plot-history')?.data?.some((series) => series.x?.length >= {trials})"
