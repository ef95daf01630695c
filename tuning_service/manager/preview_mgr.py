"""PreviewMgr: what would become of a job file, without storing anything."""

import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tuning_service.domain.clock import Clock, system_clock
from tuning_service.domain.errors import FieldProblem, InvalidRequest, OverQuota
from tuning_service.domain.job import JobSpec
from tuning_service.domain.parameters import ParamValue
from tuning_service.domain.principal import Principal
from tuning_service.domain.space import Space
from tuning_service.manager.job_file import JobFile, parse_job_file
from tuning_service.manager.job_notes import notes_on
from tuning_service.manager.job_writing import job_yaml
from tuning_service.manager.job_yaml import BadYaml, YamlDocument, read_yaml
from tuning_service.manager.quotas import check_jobs, check_storage
from tuning_service.manager.space_entries import SpaceEntries
from tuning_service.manager.submission import checked, inspected_texts
from tuning_service.manager.warm_start import named_jobs
from tuning_service.search.preview import look_at
from tuning_service.storage.artifacts import ArtifactStore
from tuning_service.storage.store import Store, Unit
from tuning_service.storage.tenant_scope import Program

MOST_SAMPLES = 50
MOST_CHARACTERS = 2**16
_MOST_DEPTH = 40
_KEPT_PROGRAMS, _KEPT_CHARACTERS = 16, 2**20
_SPACE: TypeAdapter[dict[str, Any]] = TypeAdapter(SpaceEntries)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedProblem:
    """What is wrong, and in which line and column (from 1) of a YAML text; None where that cannot be told."""

    problem: FieldProblem
    line: int | None = None
    column: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """`document`: the job file as it was read, right or not; `file`: with all defaults, where its form is right."""

    problems: Sequence[PlacedProblem]
    document: Mapping[str, Any] | None = None
    file: Mapping[str, Any] | None = None
    yaml: str | None = None
    samples: Sequence[Mapping[str, ParamValue]] = ()
    size: int | None = None
    notes: Sequence[str] = ()


class PreviewMgr:
    """Looks at job files on their way to submission. Safe from any thread."""

    def __init__(
        self, store: Store, artifacts: ArtifactStore, *, environments: Collection[str] = (), clock: Clock = system_clock
    ) -> None:
        self._store = store
        self._clock = clock
        self._artifacts = artifacts
        self._environments = environments
        self._texts: OrderedDict[tuple[str, str, str], Mapping[str, str]] = OrderedDict()
        self._lock = threading.Lock()

    def preview(
        self, principal: Principal, source: str | Mapping[str, Any], *, samples: int, seed: int | None = None
    ) -> Preview:
        """`source` is YAML, or a job file as JSON has it. Raises only Denied, for an operator's key.

        The problems are those that a submission would be refused with, of all its steps at once where they can be told.
        """
        if isinstance(source, str):
            try:
                read = read_yaml(source)
            except BadYaml as error:
                problem = FieldProblem(field="yaml", message=str(error), remedy=error.remedy)
                return Preview(problems=[PlacedProblem(problem=problem, line=error.line, column=error.column)])
        else:
            read = YamlDocument(value=source, places={})
        if not isinstance(read.value, Mapping) or _is_deep(read.value):
            field = "yaml" if isinstance(source, str) else "file"
            message = "holds no fields." if not isinstance(read.value, Mapping) else "is nested too deeply."
            problem = FieldProblem(field=field, message=message, remedy="Write name: value lines.")
            return Preview(problems=[PlacedProblem(problem=problem)])
        return self._previewed(principal, read, samples, seed)

    def _previewed(self, principal: Principal, read: YamlDocument, samples: int, seed: int | None) -> Preview:
        document: Mapping[str, Any] = read.value
        file, problems = _parsed(document)
        space, more = _space_of(document)
        look = None
        if space is not None:
            look = look_at(space, samples, _seed(document) if seed is None else seed)
        notes: list[str] = []
        if file is not None:
            problems += self._found(principal, file, look.size if look else None, notes)
        problems += more
        if space is not None and look is not None:
            notes += look.notes
            # As at submission: points and defaults were checked, and are allowed.
            if not document.get("points") and space.default_point is None:
                problems += look.problems
        return Preview(
            problems=[_placed(problem, read) for problem in _once(problems)],
            document=document,
            file=None if file is None else _normalised(file),
            yaml=job_yaml(document),
            samples=look.samples if look else (),
            size=look.size if look else None,
            notes=notes,
        )

    def _found(self, principal: Principal, file: JobFile, size: int | None, notes: list[str]) -> list[FieldProblem]:
        """What the steps of a submission say; `notes` gets what is no problem of the file's."""
        problems: list[FieldProblem] = []
        try:
            spec = file.to_spec()
        except InvalidRequest as error:
            return list(error.problems)
        with self._store.read() as unit:
            scope = unit.for_tenant(principal)
            program = scope.program(spec.program)
            _, missing = named_jobs(scope, spec)
            notes += _over_quota(unit, principal)
        texts = self._texts_of(principal.tenant_id, spec, program)
        with self._store.read() as unit:
            scope = unit.for_tenant(principal)
            plugins, pools = scope.plugins.visible(), unit.pools.all()
            seen = unit.pools.controllers()
        try:
            spec = checked(spec, program, texts, plugins, principal, pools, missing, self._environments)
        except InvalidRequest as error:
            problems += error.problems
        pool = next((pool for pool in pools if pool.name == spec.pool and pool.admits(principal.tenant_id)), None)
        controllers = [controller for controller in seen if pool is not None and controller.pool == pool.name]
        notes += notes_on(spec, pool, controllers, size, self._clock())
        return problems

    def _texts_of(self, tenant_id: str, spec: JobSpec, program: Program | None) -> Mapping[str, str]:
        """What the framework looks at in the program, read once while a form is filled."""
        if program is None:
            return {}
        key = (tenant_id, program.digest, spec.framework)
        with self._lock:
            if key in self._texts:
                self._texts.move_to_end(key)
                return self._texts[key]
        texts = inspected_texts(self._artifacts, tenant_id, spec, program)
        if sum(map(len, texts.values())) <= _KEPT_CHARACTERS:
            with self._lock:
                self._texts[key] = texts
                while len(self._texts) > _KEPT_PROGRAMS:
                    self._texts.popitem(last=False)
        return texts


def _parsed(document: Mapping[str, Any]) -> tuple[JobFile | None, list[FieldProblem]]:
    """The job file; without a program it is one all the same, with that problem."""
    try:
        return parse_job_file(document), []
    except InvalidRequest as error:
        problems = list(error.problems)
    if {problem.field for problem in problems} == {"program"}:
        return parse_job_file({**document, "program": ""}), problems
    return None, problems


def _space_of(document: Mapping[str, Any]) -> tuple[Space | None, list[FieldProblem]]:
    """The space by itself, whatever else is wrong with the file."""
    try:
        entries = _SPACE.validate_python(document.get("space"))
    except ValidationError:
        return None, []  # told already
    constraints = document.get("constraints") or []
    is_right = isinstance(constraints, list) and all(isinstance(text, str) for text in constraints)
    written = {name: entry.written for name, entry in entries.items()}
    try:
        return Space.from_dict(written, constraints[:50] if is_right else ()), []
    except InvalidRequest as error:
        return None, list(error.problems)


def _seed(document: Mapping[str, Any]) -> int:
    seed = document.get("seed")
    return seed if isinstance(seed, int) and 0 <= seed < 2**63 else 0


def _normalised(file: JobFile) -> dict[str, Any]:
    given = file.model_dump(mode="json", exclude={"space"})
    space = {name: entry.written for name, entry in file.space.items()}
    return {name: space if name == "space" else given[name] for name in JobFile.model_fields}


def _over_quota(unit: Unit, principal: Principal) -> list[str]:
    if principal.tenant is None:
        return []
    scope = unit.for_tenant(principal)
    try:
        check_jobs(scope, principal.tenant)
        check_storage(scope, principal.tenant)
    except OverQuota as error:
        return [f"It could not be started now: {error.message}"]
    return []


def _once(problems: Sequence[FieldProblem]) -> list[FieldProblem]:
    """The first of what was said twice; of the program, that it is missing goes before that there is none."""
    found: dict[tuple[str, str], FieldProblem] = {}
    for problem in problems:
        if problem.field == "program" and any(field == "program" for field, _ in found):
            continue
        found.setdefault((problem.field, problem.message), problem)
    return list(found.values())


def _placed(problem: FieldProblem, read: YamlDocument) -> PlacedProblem:
    place = read.place(problem.field)
    return (
        PlacedProblem(problem=problem)
        if place is None
        else PlacedProblem(problem=problem, line=place[0], column=place[1])
    )


def _is_deep(value: Any, depth: int = 0) -> bool:
    if depth > _MOST_DEPTH:
        return True
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return any(_is_deep(item, depth + 1) for item in items)


__all__ = ["MOST_CHARACTERS", "MOST_SAMPLES", "PlacedProblem", "Preview", "PreviewMgr"]
