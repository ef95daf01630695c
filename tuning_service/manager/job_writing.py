"""A job as its author might have written it: as YAML, as a Python script, as a line for curl."""

import json
import pprint
import shlex
from collections.abc import Mapping
from typing import Any

from tuning_service.domain.job import JobSpec
from tuning_service.domain.pool import DEFAULT_POOL
from tuning_service.frameworks.base import frameworks
from tuning_service.manager.job_entries import (
    AlgorithmEntry,
    BudgetEntry,
    EnvironmentEntry,
    ObjectiveEntry,
    ResourcesEntry,
)
from tuning_service.manager.job_file import JobFile
from tuning_service.manager.job_yaml import yaml_text
from tuning_service.manager.views import JobView
from tuning_service.search.base import algorithms

_PARTS = {
    "algorithm": AlgorithmEntry,
    "budget": BudgetEntry,
    "resources": ResourcesEntry,
    "environment": EnvironmentEntry,
}
_HEREDOC = "END_OF_JOB"
_EMPTY: tuple[Any, ...] = ("", [], {})

Written = JobSpec | JobView | Mapping[str, Any]


def job_document(job: Written) -> dict[str, Any]:
    """The job file with what differs from the defaults alone, in the documented order; unknown fields come last.

    A mapping need be no valid job file: what is wrong in it stays as it is.
    """
    given = _given(job)
    document = {name: given[name] for name in JobFile.model_fields if name in given}
    document |= {name: value for name, value in given.items() if name not in document}
    for name, model in _PARTS.items():
        if isinstance(document.get(name), Mapping):
            document[name] = _without(document[name], _defaults(model))
    document["algorithm"] = _algorithm(document.get("algorithm"))
    document["objective"] = _objectives(document.get("objective"))
    if isinstance(document.get("space"), Mapping):
        document["space"] = {name: _without_none(entry) for name, entry in document["space"].items()}
    manager = frameworks().get(str(document.get("framework")))
    defaults = _defaults(JobFile) | {"pool": DEFAULT_POOL}
    if manager is not None and manager.command:
        defaults["command"] = manager.command
    return {
        n: v for n, v in _without(document, defaults).items() if v is not None and not (n in defaults and v in _EMPTY)
    }


def job_yaml(job: Written) -> str:
    """`job_document` as YAML, which submits to an equal job."""
    return yaml_text(job_document(job))


def job_json(job: Written) -> str:
    """`job_document` as JSON."""
    return json.dumps(job_document(job), indent=2, ensure_ascii=False)


def job_python(job: Written, url: str) -> str:
    """A script that submits the job to the service at `url` through our client; the key comes from TUNING_API_KEY."""
    written = pprint.pformat(job_document(job), sort_dicts=False, width=110)
    return f'''"""Submits a tuning job, and waits for its end. TUNING_API_KEY has to hold an API key."""

import sys

from tuning_service.client import TuningClient

JOB = {written}

with TuningClient({url!r}) as client:
    job = client.submit(JOB)
    print(job["id"])
    if "--wait" in sys.argv:
        job = client.wait(job["id"], on_change=lambda job: print(job["status"], job["progress"]["done"]))
        print(client.best(job["id"])["by_observation"])
'''


def job_curl(job: Written, url: str) -> str:
    """A command for a shell that submits the job to the service at `url`; the key comes from TUNING_API_KEY."""
    # In JSON no line break stands in a text, and each line begins with a bracket or a blank: none ends the heredoc.
    body = json.dumps(job_document(job), indent=2)
    address = shlex.quote(f"{url.rstrip('/')}/v1/tuning-jobs")
    return (
        f"curl --silent --show-error --fail-with-body {address} \\\n"
        '  --header "Authorization: Bearer $TUNING_API_KEY" \\\n'
        "  --header 'Content-Type: application/json' \\\n"
        f"  --data-binary @- <<'{_HEREDOC}'\n{body}\n{_HEREDOC}\n"
    )


def _given(job: Written) -> Mapping[str, Any]:
    if isinstance(job, JobView):
        job = job.job.spec
    # By way of JSON, which makes plain texts of choices.
    return dict(json.loads(json.dumps(job.to_dict()))) if isinstance(job, JobSpec) else job


def _defaults(model: type[Any]) -> dict[str, Any]:
    fields = {name: field for name, field in model.model_fields.items() if not field.is_required()}
    return {name: field.get_default(call_default_factory=True) for name, field in fields.items()}


def _without(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    return {n: v for n, v in given.items() if not (n in defaults and _same(v, defaults[n]))}


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _without_none(entry: Any) -> Any:
    return {n: v for n, v in entry.items() if v is not None} if isinstance(entry, Mapping) else entry


def _algorithm(given: Any) -> Any:
    """Without the digest, which would pin a plug-in's content where its version is meant."""
    if not isinstance(given, Mapping):
        return given
    kept = {name: value for name, value in given.items() if name != "digest"}
    cls = algorithms().get(str(kept.get("name", AlgorithmEntry().name)))
    if cls is not None and isinstance(kept.get("options"), Mapping):
        kept["options"] = _without(kept["options"], cls.options_type().model_dump(mode="json"))
    return _without(kept, {"options": {}})


def _objectives(given: Any) -> Any:
    defaults = _defaults(ObjectiveEntry)
    if isinstance(given, Mapping):
        return _without(given, defaults)
    if isinstance(given, list):
        return [_without(item, defaults) if isinstance(item, Mapping) else item for item in given]
    return given
