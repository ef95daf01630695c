"""The tutorial on plug-ins is what it says: its files are written and its commands run, against a service."""

import re
from pathlib import Path

import pytest
import yaml

from tests.cli.test_commands import Shell
from tests.rest_service import Service, archive, job_file, service
from tuning_service.manager.job_file import parse_job_file
from tuning_service.search.plugins.limits import PluginLimits
from tuning_service.search.plugins.manifest import Manifest, OptionSpec
from tuning_service.settings import PREFIX, Settings

__all__ = ["service"]

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "plugins.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_ten_minutes_work(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for text in [*blocks("toml"), *blocks("python")]:
        path = Path(text.partition("\n")[0].removeprefix("# "))
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    shell = Shell(service)
    before, after = (block.splitlines() for block in blocks("bash"))
    for command in before:
        shell.run(*command.split()[1:])
    (change,) = blocks("yaml")
    program = service.managers.programs.upload(service.principal(), archive()).digest
    job = service.tuning.start(service.principal(), parse_job_file(job_file(program) | yaml.safe_load(change))).job
    assert job.spec.algorithm.options == {"reach": 0.2}
    with service.store.write() as unit:
        unit.control.delete_job(job.id)
    for command in after:
        shell.run(*command.split()[1:])


def test_every_key_and_every_limit_is_told() -> None:
    keys = {f.alias or name for name, f in Manifest.model_fields.items()} - {"options", "free_options"}
    assert [key for key in [*keys, *OptionSpec.model_fields] if f"`{key}`" not in PAGE] == []
    told = re.findall(rf"`({PREFIX}PLUGIN_\w+)`", PAGE)
    assert sorted(told) == sorted(
        f"{PREFIX}{name.upper()}" for name in Settings.__slots__ if name.startswith("plugin_")
    )
    limits = PluginLimits()
    assert (limits.memory_bytes, limits.answer_s, limits.file_bytes) == (2 * 2**30, 120.0, 2**30)
    assert limits.folder_bytes == 2 * 2**30
    assert limits.output_bytes == 16 * 1024
