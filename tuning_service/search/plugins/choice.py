"""Whether a job's choice of a plug-in is right, without running any of its code."""

from collections.abc import Sequence
from dataclasses import replace

from tuning_service.domain.errors import FieldProblem, InvalidRequest
from tuning_service.domain.job import AlgorithmChoice, MetricConstraint, Objective
from tuning_service.domain.parameters import FloatParameter, IntParameter, Parameter
from tuning_service.domain.plugin import Plugin, PluginStatus
from tuning_service.domain.space import Space
from tuning_service.search.base import algorithms
from tuning_service.search.options import (
    check_abilities,
    check_choice,
    check_options,
    find_algorithm,
    naming_others,
)
from tuning_service.search.plugins.manifest import Manifest, as_text, version_key


def check_any_choice(
    choice: AlgorithmChoice,
    plugins: Sequence[Plugin],
    space: Space,
    objectives: Sequence[Objective],
    constraints: Sequence[MetricConstraint] = (),
) -> AlgorithmChoice:
    """`choice`, built in or one of the `plugins`, with all defaults filled in and a plug-in's version pinned.

    Raises:
        InvalidRequest: there is none of that name, or as `check_choice` and `check_plugin_choice`.
    """
    versions = [p for p in plugins if p.name == choice.name]
    if choice.name in algorithms() or not versions:
        find_algorithm(choice.name, {p.name for p in plugins})
        return check_choice(choice, space, objectives, constraints)
    return check_plugin_choice(choice, versions, space, objectives, constraints)


def check_plugin_choice(
    choice: AlgorithmChoice,
    versions: Sequence[Plugin],
    space: Space,
    objectives: Sequence[Objective],
    constraints: Sequence[MetricConstraint] = (),
) -> AlgorithmChoice:
    """`choice` with its version pinned (the newest one that is ready, unless it names one) and all defaults filled in.

    `versions` are all of the plug-in of that name, at least one.

    Raises:
        InvalidRequest: no such version, one that is not ready, an unknown or bad option, or what it cannot do.
    """
    plugin = _version(choice, versions)
    manifest = Manifest.from_json(plugin.manifest)
    options = check_options(manifest.options_type(), choice.options)
    check_abilities(
        manifest.name,
        manifest.most_objectives,
        space,
        objectives,
        constraints,
        takes_constraints=manifest.takes_constraints,
    )
    with naming_others(space, objectives, constraints):
        check_space(manifest, space)
    return replace(choice, version=plugin.version, digest=plugin.digest, options=options.model_dump(mode="json"))


def _version(choice: AlgorithmChoice, versions: Sequence[Plugin]) -> Plugin:
    ordered = sorted(versions, key=lambda p: version_key(p.version))
    if choice.version:
        found = next((p for p in ordered if p.version == choice.version), None)
        if found is None:
            raise _refused(
                "algorithm.version",
                f"there is no version {choice.version!r} of {choice.name}.",
                f"There are: {', '.join(p.version for p in ordered)}.",
            )
    else:
        ready = [p for p in ordered if p.status is PluginStatus.READY]
        found = (ready or ordered)[-1]
    if choice.digest not in {"", found.digest}:
        raise _refused(
            "algorithm.digest",
            f"{found.name} {found.version} has other content now.",
            "Leave it out to take the version as it is.",
        )
    if found.status is PluginStatus.INSTALLING:
        raise _refused("algorithm.name", f"{found.name} {found.version} is still being installed.", "Wait for it.")
    if found.status is PluginStatus.FAILED:
        reason = found.reason.partition("\n")[0]
        raise _refused(
            "algorithm.name", f"{found.name} {found.version} cannot be used: {reason}", "Upload a version that can."
        )
    return found


def check_space(manifest: Manifest, space: Space) -> None:
    """Return quietly when the plug-in can search `space`. Raises InvalidRequest, naming each field that it cannot."""
    problems = []
    for parameter in space:
        where = f"space.{parameter.name}"
        if parameter.when and not manifest.takes_conditions:
            problems.append(
                FieldProblem(
                    field=f"{where}.when",
                    message=f"{manifest.name} knows no conditions.",
                    remedy="Remove it, or choose another algorithm.",
                )
            )
        if manifest.interface == "dli" and _is_ambiguous(parameter):
            problems.append(
                FieldProblem(
                    field=f"{where}.values",
                    message=f"two of them look the same to {manifest.name}, to which all are texts.",
                    remedy="Remove one, or choose another algorithm.",
                )
            )
    if problems:
        raise InvalidRequest(*problems)


def _is_ambiguous(parameter: Parameter) -> bool:
    if isinstance(parameter, (FloatParameter, IntParameter)):
        return False
    return len({as_text(c) for c in parameter.choices}) < len(parameter.choices)


def _refused(where: str, message: str, remedy: str) -> InvalidRequest:
    return InvalidRequest(FieldProblem(field=where, message=message, remedy=remedy))
