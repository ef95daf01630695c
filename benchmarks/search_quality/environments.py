"""Where the interpreters are for libraries that cannot live beside ours."""

import argparse
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from benchmarks.search_quality.ours import contenders
from benchmarks.search_quality.searcher import Contender

_BENCHMARKS = Path(__file__).parents[1]


def add_argument(parser: argparse.ArgumentParser) -> None:
    """`--python smac=/path/to/python`, as often as there are environments."""
    parser.add_argument(
        "--python",
        type=_name_and_path,
        action="append",
        default=[],
        metavar="ENVIRONMENT=PATH",
        help="interpreter of an environment (smac); otherwise benchmarks/.venv-ENVIRONMENT/bin/python",
    )


def interpreter(contender: Contender, named: Iterable[tuple[str, str]]) -> str | None:
    """The interpreter to run it with, None for this one.

    Raises:
        LookupError: its environment is not there; says how it is made.
    """
    if not contender.environment:
        return None
    default = _BENCHMARKS / f".venv-{contender.environment}" / "bin" / "python"
    path = dict(named).get(contender.environment, str(default))
    if shutil.which(path) is None:
        raise LookupError(
            f"{path} is not there: python3.11 -m venv benchmarks/.venv-{contender.environment}, then install "
            f"benchmarks/search_quality/requirements-{contender.environment}.txt into it"
        )
    return path


def available(names: Iterable[str], named: Iterable[tuple[str, str]]) -> dict[str, str | None]:
    """Searcher and interpreter, in order of cost, of those that can run. Tells on standard error why others cannot."""
    known, named = contenders(), list(named)
    chosen = set(names)
    for name in sorted(chosen - set(known)):
        print(f"{name}: skipped, no such searcher; there are {', '.join(known)}", file=sys.stderr)
    found: dict[str, str | None] = {}
    for name in [name for name in known if name in chosen]:
        try:
            found[name] = interpreter(known[name], named)
        except LookupError as error:
            print(f"{name}: skipped, {error}", file=sys.stderr)
    return found


def _name_and_path(text: str) -> tuple[str, str]:
    name, _, path = text.partition("=")
    if not path:
        raise argparse.ArgumentTypeError(f"{text}: write ENVIRONMENT=PATH")
    return name, str(Path(path).expanduser())
