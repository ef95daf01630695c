"""The documentation says what is so: its examples are run, and nothing that it has to mention is missing."""

import re
from pathlib import Path

import pytest
import typer.main
import yaml
from typer.core import TyperGroup

from tests.api.test_access import all_routes
from tests.rest_service import Service, archive, job_file
from tuning_service.cli.app import app
from tuning_service.domain.errors import InvalidRequest
from tuning_service.domain.job import AlgorithmChoice, Goal, Objective
from tuning_service.domain.space import Space
from tuning_service.domain.state import JobStatus, TaskStatus, TrialStatus
from tuning_service.domain.trial import Observation, Trial
from tuning_service.frameworks import base as frameworks_base
from tuning_service.logs import FORMATS_FOR, build_parser
from tuning_service.manager.job_file import JobFile, parse_job_file
from tuning_service.manager.listing_mgr import JobQuery
from tuning_service.portal.app import PAGES as PORTAL_PAGES
from tuning_service.search import base as search_base
from tuning_service.search.child import build
from tuning_service.search.messages import AlgorithmSetup
from tuning_service.search.options import check_choice, describe
from tuning_service.settings import PREFIX, Settings
from tuning_service.storage.tables import metadata

ROOT = Path(__file__).resolve().parents[1]
JOB_FILE = (ROOT / "docs" / "job-file.md").read_text()
LOGS = (ROOT / "docs" / "logs.md").read_text()
ALGORITHMS = (ROOT / "docs" / "algorithms.md").read_text()
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
READMES = sorted(
    [*ROOT.glob("examples/*/README.md"), *ROOT.glob("plugins/**/README.md"), ROOT / "benchmarks" / "README.md"]
)
COMMAND = typer.main.get_command(app)


def blocks(text: str, language: str) -> list[list[list[str]]]:
    """The fenced blocks of a language: of each its lines, of each its cells."""
    found = re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [[[cell.strip() for cell in line.split(" | ", 1)] for line in block.splitlines()] for block in found]


def fields_of(schema: dict, definitions: dict, prefix: str = "") -> list[str]:
    """Dotted names of all fields below an object's schema, without those of single parameters."""
    found = []
    for name, item in schema["properties"].items():
        # One objective may stand alone, several as a list: their fields are the same.
        reference = next((way["$ref"] for way in [item, *item.get("oneOf", [])] if "$ref" in way), "")
        inner = definitions[reference.rpartition("/")[2]] if reference else {}
        if "properties" in inner:
            found += fields_of(inner, definitions, f"{prefix}{name}.")
        else:
            found.append(prefix + name)
    return found


def test_every_field_of_a_job_file_has_a_row():
    schema = JobFile.model_json_schema()
    fields = fields_of(schema, schema["$defs"])
    assert {"budget.trial_minutes", "objective.summary", "log_patterns"} <= set(fields)
    assert [name for name in fields if f"\n| `{name}` |" not in JOB_FILE] == []
    entries = [
        name for name in schema["$defs"] if name.endswith("Entry") and "type" in schema["$defs"][name]["properties"]
    ]
    assert len(entries) == 6
    for entry in entries:
        for name in schema["$defs"][entry]["properties"]:
            assert f"`{name}`" in JOB_FILE or f"`{name}:" in JOB_FILE, name


def table(heading: str) -> dict[str, str]:
    """First cell to row, of the table in a section of the page on algorithms."""
    section = ALGORITHMS[ALGORITHMS.index(f"## {heading}\n") :]
    section = section[: section.find("\n## ", 1)]
    return {name: row for row, name in re.findall(r"^(\| `(\w+)` \|.*)$", section, re.MULTILINE)}


def test_every_algorithm_is_described_with_its_options_and_their_defaults():
    rows = table("Options")
    assert set(rows) == {algorithm["name"] for algorithm in describe()}
    for algorithm in describe():
        for option, about in algorithm["options"].get("properties", {}).items():
            default = "null" if about["default"] is None else str(about["default"])
            assert re.search(rf"`{option}` \(`?{re.escape(default)}`?\)", rows[algorithm["name"]]), option


def test_every_algorithm_can_do_what_the_page_says():
    rows = table("What each can do")
    assert set(rows) == {algorithm["name"] for algorithm in describe()}
    parameters = {"c": {"type": "categorical", "values": [1, 2, 3]}, "x": {"type": "float", "min": 0, "max": 1}}
    nested = Space.from_dict({"b": {"type": "bool"}, "x": parameters["x"] | {"when": {"b": [True]}}})
    for name, cls in search_base.algorithms().items():
        _, _, conditions, categories, objectives, limits, *_ = (cell.strip() for cell in rows[name].split("|"))
        assert (conditions == "yes") == accepts(cls, nested), name
        assert (categories != "of two values") == accepts(cls, Space.from_dict(parameters)), name
        assert int(objectives[0]) == cls.most_objectives, name
        assert limits.startswith("yes") == cls.takes_constraints, name


def accepts(cls, space) -> bool:
    try:
        cls.check_space(space)
    except InvalidRequest:
        return False
    return True


@pytest.mark.parametrize("statuses", [JobStatus, TrialStatus, TaskStatus])
def test_every_status_is_explained(statuses):
    section = JOB_FILE[JOB_FILE.index(f"tatuses of {statuses.__name__.removesuffix('Status').lower()}s:") :]
    table = section[: section.find("\n\n", section.index("|---"))]
    assert [str(status) for status in statuses if f"`{status}`" not in table] == []


@pytest.fixture(scope="module")
def vision(tmp_path_factory):
    """A service, whose tenant may run eight trials at once, with a program."""
    service = Service(tmp_path_factory.mktemp("docs"))
    operator = service.principal(service.operator_key)
    service.access.create_tenant(operator, "eight", max_parallel=8)
    _, key = service.access.create_key(operator, name="me", role="member", tenant="eight")
    digest = service.managers.programs.upload(service.principal(key), archive()).digest
    yield service, service.principal(key), digest
    service.close()


@pytest.mark.parametrize(("change", "answer"), [tuple(line) for line in blocks(JOB_FILE, "refused")[0]])
def test_refusals_read_as_documented(vision, change, answer):
    service, principal, program = vision
    document = job_file(program) | yaml.safe_load(change)
    before = len(service.managers.listing.jobs(principal, JobQuery(), limit=100).views)
    if answer == "ok":
        service.tuning.start(principal, parse_job_file(document))
        return
    with pytest.raises(InvalidRequest) as refused:
        service.tuning.start(principal, parse_job_file(document))
    assert answer in [str(problem) for problem in refused.value.problems]
    assert len(service.managers.listing.jobs(principal, JobQuery(), limit=100).views) == before


def shown(readings) -> str:
    """Readings as the page writes them: values of one step together, in their order."""
    parts: list[tuple[int, list[str]]] = []
    for reading in readings:
        if not parts or parts[-1][0] != reading.step:
            parts.append((reading.step, []))
        parts[-1][1].append(f"{reading.metric}={reading.value:g}")
    return " | ".join(f"step {step}: {' '.join(values)}" for step, values in parts)


def parser(patterns=()):
    return build_parser({"formats": FORMATS_FOR["command"], "patterns": list(patterns), "metrics": ["val_accuracy"]})


@pytest.mark.parametrize("block", blocks(LOGS, "log"))
def test_logs_are_read_as_documented(block):
    reader = parser()
    for line, *expected in block:
        assert shown(reader.feed(line.removesuffix(" |"))) == "".join(expected), line


@pytest.mark.parametrize("line", blocks(LOGS, "patterns")[0])
def test_patterns_read_as_documented(line):
    pattern, rest = line
    printed, expected = (part.strip() for part in rest.split(" | "))
    assert shown(parser([pattern]).feed(printed)) == expected


def test_every_route_is_in_the_table(vision):
    page = (ROOT / "docs" / "rest-api.md").read_text()
    listed = set(re.findall(r"^\| `(GET|POST|PUT|PATCH|DELETE) (/[^`]*)` \|", page, re.MULTILINE))
    assert listed == set(all_routes(vision[0]))


def python_blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE | re.DOTALL)


def test_the_algorithm_of_the_guide_works(monkeypatch):
    monkeypatch.setattr(search_base, "_ALGORITHMS", dict(search_base.algorithms()))
    exec(compile(python_blocks()[0], "CONTRIBUTING.md", "exec"), {"__name__": "climb"})
    space = Space.from_dict(
        {
            "x": {"type": "float", "min": -3, "max": 3},
            "kind": {"type": "categorical", "values": ["a", "b"]},
            "y": {"type": "float", "min": 0, "max": 1, "when": {"kind": ["a"]}},
        }
    )
    objectives = (Objective(metric="loss", goal=Goal.MINIMIZE),)
    choice = check_choice(AlgorithmChoice(name="climb", options={"reach": 0.05}), space, objectives)
    climb = build(AlgorithmSetup(space=space, objectives=objectives, algorithm=choice, seed=3))
    losses = []
    for number in range(60):
        (suggestion,) = climb.suggest(1, [])
        losses.append(abs(suggestion.params["x"] - 1))
        climb.observe([Observation.of(number=number, params=suggestion.params, loss=losses[-1])])
    assert min(losses[30:]) < 0.1 < losses[0]


def test_the_framework_manager_of_the_guide_works(monkeypatch):
    monkeypatch.setattr(frameworks_base, "_MANAGERS", dict(frameworks_base.frameworks()))
    exec(compile(python_blocks()[1], "CONTRIBUTING.md", "exec"), {"__name__": "jax_manager"})
    manager = frameworks_base.frameworks()["jax"]
    spec = parse_job_file(job_file("0" * 64)).to_spec()
    manager.check(spec, frameworks_base.ProgramFiles(names=["train.py"]))
    trial = Trial(id="t", job_id="j", tenant_id="n", number=0, params={"lr": 0.1}, status=TrialStatus.QUEUED)
    prepared = manager.prepare(spec, trial, ["0"])
    assert prepared.argv == ("python", "train.py", "--lr", "0.1")
    assert prepared.environment["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"


def anchors(text: str) -> set[str]:
    """Of a page's headings, as GitHub makes them: without punctuation."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_points_to_is_there(page):
    text = page.read_text()
    targets = [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]
    for target in targets:
        path, _, anchor = target.partition("#")
        pointed = (page.parent / path) if path else page
        assert pointed.exists(), f"{page.name} points to {target}"
        if anchor:
            assert anchor in anchors(pointed.read_text()), target
    for path in re.findall(r"`((?:tests|deploy|examples|migrations|benchmarks|docs)/[\w./-]*)`", text):
        assert (ROOT / path).exists(), f"{page.name} names {path}"


def found_command(words: list[str]):
    """The command that a line names; `logs JOB` is short for `logs show JOB`."""
    command = COMMAND
    for word in words:
        if not isinstance(command, TyperGroup):
            break
        command = command.commands["show" if command.name == "logs" and word not in command.commands else word]
    return command


@pytest.mark.parametrize("page", [*PAGES, *READMES], ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_that_a_page_names_are_there_with_their_options(page):
    text = page.read_text().replace("\\\n", " ")
    for line in re.findall(r"(?<![\w/-])tuning-service ([a-z][^`'\n#|&;)]*)", text):
        words = line.split()
        command = found_command(words)
        known = {option for param in command.params for option in [*param.opts, *param.secondary_opts]} | {"--help"}
        used = {word.partition("=")[0].rstrip(".,:") for word in words if re.match(r"--?[a-z]", word)}
        assert used <= known, f"{page.name}: tuning-service {line}"


def leaves(group: TyperGroup) -> set[str]:
    return {
        f"{name} {leaf}" if leaf else name
        for name, command in group.commands.items()
        for leaf in (command.commands if isinstance(command, TyperGroup) else [""])
    }


def test_the_page_on_the_command_line_has_every_command():
    page = (ROOT / "docs" / "command-line.md").read_text()
    cells = re.findall(r"^\| (`[a-z].*?) \|", page, re.MULTILINE)
    listed = [name for cell in cells for name in re.findall(r"`([a-z-]+(?: [a-z-]+)?)", cell)]
    assert sorted(listed) == sorted(leaves(COMMAND))


def test_settings_and_variables_of_executors_are_told_and_there():
    settings = {PREFIX + name.upper() for name in Settings.__slots__}
    pages = "\n".join(page.read_text() for page in PAGES)
    assert set(re.findall(rf"{PREFIX}[A-Z_]*[A-Z]", pages)) <= settings
    code = "\n".join(path.read_text() for path in (ROOT / "tuning_service").rglob("*.py"))
    read = set(re.findall(r'environ\.get\(\s*"(TUNING_[A-Z_]+)"', code)) | {"TUNING_DATA_DIR"}
    assert {"TUNING_WORK_DIR", "TUNING_DELIVERY_S", "TUNING_URL"} <= read
    assert [name for name in sorted(read) if f"`{name}`" not in pages] == []


def test_every_page_of_the_portal_is_in_its_table():
    page = (ROOT / "docs" / "portal.md").read_text()
    listed = set(re.findall(r"^\| [^|]* \| `(/[^`]*)` \|", page, re.MULTILINE))
    paths = {path.replace("{job_id}", "JOB").replace("{number}", "N") for path, _ in PORTAL_PAGES}
    assert {path.partition("?")[0] for path in listed} == paths


def test_the_map_of_the_code_is_true():
    text = (ROOT / "docs" / "architecture.md").read_text()
    named = {name for name in re.findall(r"`([\w*-][\w./*-]*)`", text) if "/" in name or name.endswith(".py")}
    places = (ROOT, ROOT / "tuning_service", ROOT / "tuning_service" / "portal")
    assert len(named) > 80
    assert [n for n in sorted(named - {"base.py"}) if not any(list(p.glob(n.rstrip("/"))) for p in places)] == []
    packages = {path.parent.name for path in (ROOT / "tuning_service").glob("*/__init__.py")}
    assert [package for package in sorted(packages) if f"`{package}/`" not in text] == []
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", text[text.index("| Tables |") :], re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"\w+", row)} == set(metadata.tables)


def test_every_page_is_reached_from_the_readme():
    text = (ROOT / "README.md").read_text()
    assert [page.name for page in ROOT.glob("docs/*.md") if f"](docs/{page.name})" not in text] == []


def test_the_readme_shows_the_job_file_of_the_example():
    (shown,) = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    example = (ROOT / "examples" / "digits_pytorch" / "job.yaml").read_text()
    assert yaml.safe_load(shown) == yaml.safe_load(example)


@pytest.mark.parametrize("page", [*PAGES, *READMES], ids=lambda page: str(page.relative_to(ROOT)))
def test_job_files_in_pages_can_be_read(page):
    blocks = re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    for block in map(yaml.safe_load, blocks):
        file = parse_job_file(job_file("0" * 64) | block)
        if "space" in block:
            file.to_spec()
