import zipfile

from tuning_service.compute.shipping import write_runner_zip


def test_the_zip_holds_what_runs_on_executors_and_is_the_same_each_time(tmp_path):
    (tmp_path / "again").mkdir()
    first, second = write_runner_zip(tmp_path), write_runner_zip(tmp_path / "again")
    assert first.read_bytes() == second.read_bytes()
    names = zipfile.ZipFile(first).namelist()
    assert {"tuning_service/__init__.py", "tuning_service/runner/protocol.py"} <= set(names)
    floors = {name.split("/")[1] for name in names if name.count("/") > 1}
    assert floors == {"caffe", "domain", "logs", "probe", "runner"}
    assert "tuning_service/caffe/schema.proto" in names
    assert not [name for name in names if "__pycache__" in name]
