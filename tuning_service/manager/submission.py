"""What is looked at before a job is accepted, beyond what its file says by itself."""

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence

from tuning_service.domain.errors import FieldProblem, InvalidRequest, NotFound
from tuning_service.domain.job import JobSpec
from tuning_service.domain.plugin import Plugin
from tuning_service.domain.pool import Pool
from tuning_service.domain.principal import Principal
from tuning_service.domain.texts import counted
from tuning_service.frameworks.base import ProgramFiles, frameworks
from tuning_service.frameworks.program_files import read_program
from tuning_service.manager.pool_mgr import choose_pool, too_large
from tuning_service.manager.quotas import too_many_gpus
from tuning_service.search.plugins.choice import check_any_choice
from tuning_service.storage.artifacts import ArtifactStore
from tuning_service.storage.tenant_scope import Program


def inspected_texts(
    artifacts: ArtifactStore, tenant_id: str, spec: JobSpec, program: Program | None
) -> Mapping[str, str]:
    """The texts of the program that its framework looks at. Not for a transaction: an artifact store may be slow."""
    manager = frameworks().get(spec.framework)
    if manager is None or program is None or not manager.inspects:
        return {}
    try:
        data = artifacts.program(tenant_id, program.digest)
    except NotFound:
        return {}  # deleted meanwhile, as the transaction will find
    return read_program(data, program.files, manager.inspects).texts


def checked(
    spec: JobSpec,
    program: Program | None,
    texts: Mapping[str, str],
    plugins: Sequence[Plugin],
    principal: Principal,
    pools: Sequence[Pool],
    found: Sequence[FieldProblem],
    environments: Collection[str] = (),
) -> JobSpec:
    """`spec` with its pool and the algorithm's defaults filled in, if it can be run as `principal`'s job.

    `program` and `plugins` are what the tenant has, `texts` those of the program that its framework inspects, `pools`
    what there are; `found` are problems that are known already, `environments` the names of those that there are.

    Raises:
        InvalidRequest: with all problems, `found` too.
    """
    problems = [*found, *_quota_problems(spec, principal)]
    try:
        name = choose_pool(spec.pool, pools, principal.tenant_id)
        spec = dataclasses.replace(spec, pool=name)
        pool = next(pool for pool in pools if pool.name == name)
        problems += too_large(pool, spec.resources.cpus, spec.resources.gpus)
    except InvalidRequest as error:
        problems.extend(error.problems)
    problems += _program_problems(spec, program, texts)
    problems += _environment_problems(spec, program, environments)
    try:
        choice = check_any_choice(spec.algorithm, plugins, spec.space, spec.objectives, spec.metric_constraints)
        spec = dataclasses.replace(spec, algorithm=choice)
    except InvalidRequest as error:
        problems.extend(error.problems)
    if problems:
        raise InvalidRequest(*problems)
    return spec


def _quota_problems(spec: JobSpec, principal: Principal) -> Iterator[FieldProblem]:
    tenant = principal.tenant
    quota = tenant.max_parallel if tenant else 0
    if spec.budget.parallel > quota:
        message = f"{spec.budget.parallel} is more than this tenant's quota of {counted(quota, 'trial')} in parallel."
        yield FieldProblem(field="budget.parallel", message=message, remedy=f"Use at most {quota}.")
    if tenant and too_many_gpus(tenant, spec):
        most = tenant.max_gpus or 0.0
        message = f"{spec.resources.gpus:g} for one trial is more than this tenant's quota of {counted(most, 'GPU')}."
        yield FieldProblem(field="resources.gpus", message=message, remedy=f"Use at most {most:g}.")


def _program_problems(spec: JobSpec, program: Program | None, texts: Mapping[str, str]) -> Iterator[FieldProblem]:
    if program is None:
        message = f"no program {spec.program!r} was uploaded."
        yield FieldProblem(field="program", message=message, remedy="POST it to /v1/programs and name its digest.")
    managers = frameworks()
    if spec.framework not in managers:
        message, remedy = f"{spec.framework!r} is not supported.", f"Use one of {', '.join(sorted(managers))}."
        yield FieldProblem(field="framework", message=message, remedy=remedy)
    elif program is not None:
        try:
            managers[spec.framework].check(spec, ProgramFiles(names=program.files, texts=texts))
        except InvalidRequest as error:
            yield from error.problems


def _environment_problems(
    spec: JobSpec, program: Program | None, environments: Collection[str]
) -> Iterator[FieldProblem]:
    wanted = spec.environment
    if wanted.name and wanted.name not in environments:
        known = f"Use one of {', '.join(sorted(environments))}." if environments else "This deployment names none."
        message = f"{wanted.name!r} is no environment of this deployment."
        yield FieldProblem(field="environment.name", message=message, remedy=known)
    if wanted.requirements and program is not None and wanted.requirements not in program.files:
        message = f"{wanted.requirements} is not in the program."
        shown = [name for name in sorted(program.files) if name.endswith((".txt", ".in"))][:10]
        remedy = f"The program has: {', '.join(shown)}" if shown else "Put the file into the program's folder."
        yield FieldProblem(field="environment.requirements", message=message, remedy=remedy)
