"""The rules of the house that a machine can check."""

import ast
import os
import re
import subprocess
import sys
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from tuning_service.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "tuning_service"
MODULES = sorted(PACKAGE.rglob("*.py"))
TRANSACTIONS = PACKAGE / "storage" / "store.py"


def name_of(path):
    return str(path.relative_to(ROOT))


def imported(path):
    """Absolute names of all that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


def test_imports_go_downward_and_libraries_stay_in_their_rooms():
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"[1-9]\d* kept, 0 broken", done.stdout)


@pytest.mark.parametrize("floor", ["runner", "logs", "domain", "probe"])
def test_what_is_shipped_to_executors_needs_nothing_but_python(floor):
    modules = sorted((PACKAGE / floor).rglob("*.py"))
    assert modules
    foreign = {
        f"{name_of(path)} imports {name}"
        for path in modules
        for name in imported(path)
        if name.split(".")[0] not in {*sys.stdlib_module_names, "tuning_service"}
    }
    assert foreign == set()


def test_what_is_shipped_loads_without_any_installed_package(tmp_path):
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for floor in ("runner", "logs", "domain", "probe")
        for path in sorted((PACKAGE / floor).rglob("*.py"))
        if path.stem not in {"__init__", "__main__"}
    ]
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r})\nimport {', '.join(modules)}"
    # -I -S: neither the environment's packages nor anything of the user's.
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_transactions_begin_and_end_in_one_place():
    pattern = re.compile(r"\.(commit|begin|rollback)\(")
    found = {name_of(path) for path in MODULES if pattern.search(path.read_text())}
    assert found == {name_of(TRANSACTIONS)}


def test_rooms_are_small():
    too_long = {name_of(p): n for p in MODULES if (n := len(p.read_text().splitlines())) > 400}
    assert too_long == {}


def test_every_module_says_what_it_is():
    assert [name_of(p) for p in MODULES if not ast.get_docstring(ast.parse(p.read_text()))] == []


def explained():
    """Variable to value, as the example file shows them; each stands below a comment that explains it."""
    found, comment = {}, False
    for line in (ROOT / "deploy" / "env.example").read_text().splitlines():
        match = re.fullmatch(r"# ([A-Z_]+)=(.*)", line)
        if match:
            assert comment, f"{match[1]} is not explained"
            found[match[1]] = match[2]
        else:
            comment = bool(line.startswith("# ") and not line.startswith("# ---"))
    return found


def test_every_setting_is_explained_and_every_explanation_is_of_a_setting():
    assert set(explained()) == {PREFIX + field.name.upper() for field in fields(Settings)}


def test_the_example_shows_the_defaults():
    shown = Settings.load({k: v for k, v in explained().items() if v})
    assert Path(shown.data_dir) == Path.home() / ".local" / "share" / "tuning-service"
    for field in fields(Settings):
        if field.default is not MISSING:
            assert getattr(shown, field.name) == field.default, field.name
