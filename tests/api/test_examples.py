"""The examples that come with the service."""

import shutil
import tomllib
from pathlib import Path

import pytest

from tests.rest_service import Service
from tuning_service.manager import examples

ROOT = Path(__file__).resolve().parents[2]


def test_each_can_be_started(service: Service) -> None:
    with service.client() as client:
        listed = {example["name"]: example for example in client.examples()}
        assert set(listed) == {path.parent.name for path in ROOT.glob("examples/*/job.yaml")}
        assert {"digits_caffe", "digits_pytorch", "digits_tensorflow"} <= set(listed)
        for name in listed:
            example = client.example(name)
            assert example["title"].startswith("Digits")
            assert example["description"].endswith(".")
            assert example["framework"] == example["file"]["framework"] == listed[name]["framework"]
            assert "job.yaml" in example["files"]
            digest = client.upload_example(name)
            assert digest == client.upload_example(name)
            assert client.preview({**example["file"], "program": digest})["problems"] == []
            job = client.submit({**example["file"], "program": digest})
            assert job["spec"]["name"] == example["file"]["name"]
        assert "train.py" in client.example("digits_pytorch")["files"]
        assert client.example("digits_pytorch")["yaml"] == (ROOT / "examples/digits_pytorch/job.yaml").read_text()


def test_who_may_store_one(service: Service) -> None:
    with service.http(service.keys["vision/viewer"]) as viewer:
        assert viewer.post("/v1/examples/digits_pytorch/program").status_code == 403
        assert viewer.get("/v1/examples/digits_pytorch").status_code == 200
        for name in ("nothing", "..", "demo.py", "%2e%2e", "digits_pytorch%2f..%2fdigits_caffe"):
            assert viewer.get(f"/v1/examples/{name}").status_code == 404
            assert viewer.post(f"/v1/examples/{name}/program").status_code == 404


def test_an_installed_package_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    for source, target in build["force-include"].items():  # as the wheel is made
        shutil.copytree(ROOT / source, tmp_path / target)
    here = [example.name for example in examples.examples()]
    monkeypatch.setattr(examples, "_PACKAGE", tmp_path / "tuning_service")
    examples._folders.cache_clear()
    try:
        assert [example.name for example in examples.examples()] == here
        assert "_examples" in str(examples._folder(here[0]))
    finally:
        examples._folders.cache_clear()
